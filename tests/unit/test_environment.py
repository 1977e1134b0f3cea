"""What a run says of the machine it ran on."""

from fresh import fresh

SCRIPT = """
from flowedit.environment import peak_memory_mb
before = peak_memory_mb()
x = b"x" * 200_000_000
del x
print(before, peak_memory_mb())
"""


def test_the_peak_is_this_programs_own():  # catches: the parent's memory at our start, the memory held just now
    held = b"x" * 400_000_000
    before, after = map(float, fresh(SCRIPT))
    assert len(held) > 4e8 - 1
    assert 10 < before < 150
    assert 190 < after - before < 260
