"""A model that remembers what it encoded and decoded: rows of a benchmark share most of that."""

import operator
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowedit.estimate import Estimate, estimate
from flowedit.keyframes import Keyframe
from flowedit.model import Condition, JointLatent, Latent, Pixels, VideoModel

DEPTH = 16
"""Clips remembered each way: an edit from three keyframes encodes eight, and so does the next row, in this order."""


class Remembering:
    """A `VideoModel` whose `encode` and `decode` compute nothing twice; results are the same to the bit.

    Attributes:
        name: of the model.
        size_multiple: of the model.
        inner: the model itself.
    """

    def __init__(self, model: VideoModel) -> None:
        """Wrap a model."""
        self.name, self.size_multiple = model.name, model.size_multiple
        self.inner = model
        self._encoded: deque[tuple[Tensor, Tensor]] = deque(maxlen=DEPTH)
        self._estimates: deque[tuple[np.ndarray, list[np.ndarray], Estimate]] = deque(maxlen=DEPTH)
        self._decoded: deque[tuple[Tensor, Tensor]] = deque(maxlen=DEPTH)

    def encode(self, video: Pixels) -> Latent:
        """See `VideoModel.encode`."""
        return _recall(self._encoded, video, self.inner.encode)

    def decode(self, latents: Latent) -> Pixels:
        """See `VideoModel.decode`."""
        return _recall(self._decoded, latents, self.inner.decode)

    def estimate(self, frames: np.ndarray, keyframes: Sequence[Keyframe]) -> Estimate:
        """The classical estimate, made once for the same keyframes.

        Args:
            frames: the source, uint8 (F, H, W, 3).
            keyframes: styled keyframes, in order.
        """
        images = [keyframe.image for keyframe in keyframes]
        for seen, own, made in self._estimates:
            if seen is frames and len(own) == len(images) and all(map(operator.is_, own, images)):
                return made
        made = estimate(frames, {keyframe.index: keyframe.image for keyframe in keyframes})
        self._estimates.append((frames, images, made))
        return made

    def prepare(self, condition: Condition) -> Any:  # noqa: ANN401 - opaque, as in the port
        """See `VideoModel.prepare`."""
        return self.inner.prepare(condition)

    def velocity(
        self,
        latents: JointLatent,
        sigma: float,
        prepared: Any,  # noqa: ANN401
        position_ids: Sequence[int],
    ) -> JointLatent:
        """See `VideoModel.velocity`."""
        return self.inner.velocity(latents, sigma, prepared, position_ids)

    def after_step(self, latents: Latent, sigma: float, prepared: Any) -> Latent:  # noqa: ANN401
        """See `VideoModel.after_step`."""
        return self.inner.after_step(latents, sigma, prepared)


def _recall(known: deque[tuple[Tensor, Tensor]], given: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    for seen, made in known:
        if seen.device == given.device and torch.equal(seen, given):
            return made.clone()
    made = compute(given)
    known.append((given.clone(), made.clone()))
    return made
