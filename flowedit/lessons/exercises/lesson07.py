"""Checks of lesson 07: the length of the sequence."""

from collections.abc import Callable, Iterator

from flowedit.frames import slot_count
from flowedit.lessons.checks import Claim, equal, exercise


@exercise("7.1")
def tokens(answer: Callable[..., int]) -> Iterator[Claim]:
    """Slots times patches, keyframe slots included."""
    for frames, height, width, keyframes in ((1, 16, 16, 0), (5, 16, 32, 0), (81, 480, 832, 0), (33, 128, 96, 3)):
        on = f"{frames} frames of {height}x{width}, {keyframes} keyframes as tokens"
        expected = (slot_count(frames) + keyframes) * height * width // 256
        yield equal(
            "should be the number of slots times the patches of one",
            on,
            answer(frames, height, width, keyframes),
            expected,
        )
