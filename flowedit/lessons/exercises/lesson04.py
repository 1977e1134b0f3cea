"""Checks of lesson 04: the decision after the judge."""

from collections.abc import Callable, Iterator

from flowedit.lessons.checks import Claim, equal, exercise


@exercise("4.1")
def paint_again(answer: Callable[..., list[int]]) -> Iterator[Claim]:
    """Rejected keyframes with attempts left go back, and no others."""
    cases = (
        ("should leave keyframes alone that nothing speaks against", {0: 0, 12: 0}, {0: 0, 12: 0}, 2, []),
        (
            "should send back what was rejected at the first attempt",
            {0: 0, 12: 1, 20: 3},
            dict.fromkeys((0, 12, 20), 0),
            2,
            [12, 20],
        ),
        ("should allow exactly redo repetitions", {0: 1, 12: 1, 20: 1}, {0: 0, 12: 1, 20: 2}, 2, [0, 12]),
        ("should send nothing back when redo is 0", {0: 2}, {0: 0}, 0, []),
        ("should return the frames in increasing order", {32: 1, 4: 1, 20: 1}, {32: 0, 4: 0, 20: 0}, 1, [4, 20, 32]),
    )
    for says, faults, attempts, redo, expected in cases:
        on = f"faults {faults}, attempts {attempts}, redo {redo}"
        yield equal(says, on, list(answer(dict(faults), dict(attempts), redo)), expected)
