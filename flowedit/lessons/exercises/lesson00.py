"""Checks of lesson 00: the longest legal clip."""

from collections.abc import Callable, Iterator

from flowedit.frames import longest_legal
from flowedit.lessons.checks import Claim, equal, exercise


@exercise("0.1")
def usable(answer: Callable[[int], int]) -> Iterator[Claim]:
    """`4n + 1`, not above the clip's length, and the largest such number."""
    for count in (1, 5, 33, 81):
        yield equal("should keep a legal clip whole", f"{count} frames", answer(count), count)
    for count in (2, 8, 34, 36, 100):
        yield equal("should be the largest 4n + 1 that fits", f"{count} frames", answer(count), longest_legal(count))
