"""Checks of lesson 06: the frames far from every keyframe."""

from collections.abc import Callable, Iterator

from flowedit.lessons.checks import Claim, equal, exercise


@exercise("6.1")
def far_frames(answer: Callable[..., list[int]]) -> Iterator[Claim]:
    """Exactly the frames whose nearest keyframe is at least that far away."""
    cases = (
        ("should count a frame exactly that far away", 9, (0, 8), 4, [4]),
        ("should leave out frames near any keyframe", 17, (0, 8, 16), 4, [4, 12]),
        ("should look at keyframes on both sides", 13, (6,), 5, [0, 1, 11, 12]),
        ("should return every frame at distance 0", 5, (0, 4), 0, [0, 1, 2, 3, 4]),
        ("should return nothing where all are near", 5, (0, 2, 4), 2, []),
    )
    for says, count, keyframes, distance, expected in cases:
        on = f"count = {count}, keyframes = {keyframes}, distance = {distance}"
        yield equal(says, on, list(answer(count, keyframes, distance)), expected)
