"""SlotMap on the Python side: slots, the problem in words, and the static picture."""

import re

import pytest

from flowedit.errors import KeyframeError
from flowedit.frames import slots_of
from flowedit.widgets.slot_map import SlotMap


def test_the_problem_is_the_packages():
    with pytest.raises(KeyframeError) as caught:
        slots_of([13, 16], 33)
    assert SlotMap(33, keyframes=[0, 16]).problem == ""
    assert SlotMap(33, keyframes=[13, 16]).problem == str(caught.value)


def test_fallback_shows_every_slot_and_the_collision():
    """Catches a table that leaves out the last slot, and a collision only told by colour."""
    text = SlotMap(33, keyframes=[13, 16]).fallback()
    assert '<img alt="33 frames in 9 slots, keyframes [13, 16]"' in text
    assert [int(n) for n in re.findall(r'<th scope="row">(\d+)</th>', text)] == list(range(9))
    assert "lie in one latent slot" in text
    assert re.search(r"4</th><td>13</td><td>16</td><td>13, 16</td><td>yes</td>", text)
