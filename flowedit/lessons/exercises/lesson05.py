"""Checks of lesson 05: the gap as a share of the difference."""

from collections.abc import Callable, Iterator

import numpy as np

from flowedit.lessons.checks import Claim, close, exercise


@exercise("5.1")
def relative_gap(answer: Callable[..., float]) -> Iterator[Claim]:
    """1 where nothing was carried over, 0 on the keyframe, and no division by zero."""
    rng = np.random.default_rng(51)
    source, key = rng.standard_normal((2, 4, 3, 3))
    for share in (1.0, 0.5, 0.25, 0.0):
        x_main = key + share * (source - key)
        says = "should be the share of the difference that is left"
        yield close(says, f"a main branch {share:.0%} of the way back", answer(x_main, key, source, key), share)
    apart = rng.standard_normal((2, 4, 3, 3))
    on = "branches elsewhere, a difference of 2 everywhere"
    expected = np.sqrt(np.mean((apart[0] - apart[1]) ** 2)) / 2
    yield close("should be the rms left over the rms of the difference", on, answer(*apart, key + 2, key), expected)
    yield close(
        "should be 0 where there is nothing to close", "source and keyframe equal", answer(*apart, key, key), 0.0
    )
