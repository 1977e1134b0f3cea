"""Checks of lesson 03: a keyframe held still for its group."""

from collections.abc import Callable, Iterator

import numpy as np

from flowedit.frames import GROUP, slot_of
from flowedit.lessons.checks import Claim, close, equal, exercise


@exercise("3.1")
def hold(answer: Callable[..., tuple[np.ndarray, int]]) -> Iterator[Claim]:
    """One frame for slot 0; a first frame and one whole group for every other; the group's latent is taken."""
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for index in (0, 1, 4, 16, 30):
        frames, take = answer(image, index)
        on = f"index = {index}"
        first = slot_of(index) == 0
        yield equal("should return frames of shape (F, H, W, 3)", on, np.asarray(frames).shape[1:], image.shape)
        says = "should encode one picture for the first slot" if first else "should fill one group after a first frame"
        yield equal(says, on, len(frames), 1 if first else 1 + GROUP)
        yield close("should show the keyframe in every frame", on, frames, np.stack([image] * len(frames)))
        says = "should take the only latent" if first else "should take the latent of the group, not of the first frame"
        yield equal(says, on, int(take), slot_of(len(frames) - 1))
