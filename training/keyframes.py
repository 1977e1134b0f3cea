"""Which frames a training clip shows the model, and how: the mask and the clip of keyframe images of the i2v route."""

import random
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from flowedit.tiny.config import TEMPORAL


def slot(index: int) -> int:
    """Give the latent slot of a pixel frame.

    Args:
        index: pixel frame.

    Returns:
        ``(index + 3) // 4``.
    """
    return (index + TEMPORAL - 1) // TEMPORAL


def choose_keyframes(rng: random.Random, frames: int) -> list[int]:
    """Draw a subset of keyframes: none, first, first and last, evenly spaced, or random ones.

    Args:
        rng: the source of randomness.
        frames: frames in the clip, ``4n + 1``.

    Returns:
        Sorted pixel indices, at most one a latent slot, mostly multiples of 4 (the last frame of their slot).
    """
    kind, last = rng.random(), frames - 1
    if kind < 0.12:
        return []
    if kind < 0.25:
        return [0]
    if kind < 0.37:
        return [0, last]
    if kind < 0.67:
        return sorted({0, last, *range(16, last, 16)})
    if kind < 0.75:
        return list(range(0, frames, 8))
    slots = sorted(rng.sample(range(last // TEMPORAL + 1), min(rng.randint(1, 5), last // TEMPORAL + 1)))
    late = [rng.choice((0, 0, 0, 0, 1, 2, 3)) for _ in slots]
    return [max(0, TEMPORAL * s - (back if s else 0)) for s, back in zip(slots, late, strict=True)]


def keyframe_mask(indices: list[list[int]], frames: int, height: int, width: int) -> Tensor:
    """Build the mask channels of the i2v route: one bit a pixel frame.

    Args:
        indices: pixel indices of the keyframes, clip by clip.
        frames: pixel frames.
        height: of the latents.
        width: of the latents.

    Returns:
        ``(b, 4, slots, height, width)``: slot 0 has all four channels set for keyframe 0; a keyframe ``i > 0`` sets
        channel ``(i - 1) % 4`` of its slot.
    """
    mask = torch.zeros(len(indices), TEMPORAL, slot(frames - 1) + 1, height, width)
    for row, keys in enumerate(indices):
        for i in keys:
            if i == 0:
                mask[row, :, 0] = 1
            else:
                mask[row, (i - 1) % TEMPORAL, slot(i)] = 1
    return mask


def keyframe_clip(video: Tensor, indices: list[list[int]]) -> Tensor:
    """Keep the keyframes of clips, mid grey elsewhere.

    Args:
        video: ``(b, 3, T, H, W)`` in [-1, 1].
        indices: pixel indices of the keyframes, clip by clip.

    Returns:
        ``(b, 3, T, H, W)``, 0 where there is no keyframe.
    """
    keep = torch.zeros(len(video), 1, video.shape[2], 1, 1, device=video.device)
    for row, keys in enumerate(indices):
        keep[row, 0, keys] = 1
    return video * keep


class Disagreement(NamedTuple):
    """How the keyframes of some clips differ in colour, contrast and line, as those of image models do.

    Attributes:
        matrix: ``(b, T, 3, 3)``, of colours about mid grey.
        offset: ``(b, T, 3)``, added to colours in [0, 1].
        line: ``(b, T)``, how much darker lines are drawn.
    """

    matrix: Tensor
    offset: Tensor
    line: Tensor

    def applied(self, video: Tensor, ink: Tensor | None = None) -> Tensor:
        """Give each frame its own error.

        Args:
            video: ``(b, T, 3, H, W)`` in [0, 1].
            ink: where lines are, ``(b, T, 1, H, W)`` in [0, 1]; without it only colours and contrast differ.

        Returns:
            The same shape.
        """
        mixed = torch.einsum("btij,btjhw->btihw", self.matrix, video - 0.5) + 0.5 + self.offset[..., None, None]
        if ink is not None:
            mixed = mixed - self.line[:, :, None, None, None] * ink
        return mixed.clamp(0, 1)


def disagreement(g: torch.Generator, batch: int, frames: int, share: float = 0.5) -> Disagreement:
    """Draw errors of keyframes, from none to about one and a half times those of the benchmark's disagreeing keyframes.

    Args:
        g: the source of randomness.
        batch: clips.
        frames: frames a clip.
        share: of the clips that are affected.
    """
    draw = partial(torch.randn, generator=g, device=g.device)
    on = (torch.rand(batch, 1, generator=g, device=g.device) < share).float()
    size = on * torch.rand(batch, 1, generator=g, device=g.device) * 2
    mix = torch.eye(3, device=g.device) + 0.04 * size[..., None, None] * draw(batch, frames, 3, 3)
    contrast = 1 + 0.08 * size * draw(batch, frames)
    offset = size.unsqueeze(-1) * (0.025 * draw(batch, frames, 3) + 0.02 * draw(batch, frames, 1))
    return Disagreement(mix * contrast[..., None, None], offset, 0.1 * size * draw(batch, frames))
