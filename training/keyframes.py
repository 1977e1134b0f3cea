"""Which frames a training clip shows the model, and how: masks, clips of keyframe images, slots of keyframe tokens."""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from flowedit.frames import GROUP
from flowedit.wan.routes import keyframe_mask

KEYS = 5
"""Largest number of keyframe tokens' slots."""


def choose_keyframes(rng: random.Random, frames: int) -> list[int]:
    """Draw a subset of keyframes: none, first, first and last, evenly spaced, or random ones.

    Sorted pixel indices, at most one a latent slot, mostly multiples of 4 (the last frame of their slot).
    """
    kind, last = rng.random(), frames - 1
    if kind < 0.05:
        return []
    if kind < 0.18:
        return [0]
    if kind < 0.33:
        return [0, last]
    if kind < 0.67:
        return sorted({0, last, *range(16, last, 16)})
    if kind < 0.75:
        return list(range(0, frames, 8))
    slots = sorted(rng.sample(range(last // GROUP + 1), min(rng.randint(1, 5), last // GROUP + 1)))
    late = [rng.choice((0, 0, 0, 0, 1, 2, 3)) for _ in slots]
    return [max(0, GROUP * s - (back if s else 0)) for s, back in zip(slots, late, strict=True)]


def keyframe_clip(styled: Tensor, source: Tensor, indices: list[list[int]]) -> Tensor:
    """Lay keyframes, pixel indices clip by clip, of ``(b, 3, T, H, W)`` in the source."""
    keep = torch.zeros(len(styled), 1, styled.shape[2], 1, 1, dtype=torch.bool, device=styled.device)
    for row, keys in enumerate(indices):
        keep[row, 0, keys] = True
    return torch.where(keep, styled, source)


def choose_slots(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the slots of keyframe tokens: those of the clip's keyframe images first, then any others, in random order.

    Of a mask ``(b, 4, f)`` of the i2v route; ``(b, k)`` slots, no two alike in a row, and the pixel frames of their
    pictures: the one that the mask marks, else the last one of the slot.
    """
    marked = mask.amax(1)
    slots = (torch.rand_like(marked) + marked).topk(min(KEYS, mask.shape[2]), dim=1).indices
    last = torch.where(marked > 0, mask.argmax(1), GROUP - 1).gather(1, slots)
    return slots, torch.where(slots == 0, 0, GROUP * (slots - 1) + 1 + last)


def at_slots(latents: Tensor, slots: Tensor) -> Tensor:
    """Take each clip's latents ``(b, c, f, h, w)`` at its own slots ``(b, n)``: ``(b, c, n, h, w)``."""
    b, c, _, h, w = latents.shape
    return latents.gather(2, slots[:, None, :, None, None].expand(b, c, slots.shape[1], h, w))


def pixel_frames(video: Tensor, index: Tensor) -> Tensor:
    """Take pixel frames ``(b, k)`` of clips ``(b, 3, T, H, W)``: ``(b, k, 3, H, W)``."""
    return at_slots(video, index).transpose(1, 2)


@dataclass(frozen=True)
class Lesson:
    """One batch of examples for the transformer, pixels in [-1, 1].

    Attributes:
        target: ``(b, 3, T, H, W)``: the clip in its style.
        source: the same shape: the clip before the edit, plain or in another style.
        keys: the keyframes in the source, the same shape.
        mask: their mask, ``(b, 4, slots, 1, 1)``.
        slots: ``(b, k)`` slots of the pictures below, those of keyframes first.
        pictures: ``(b, k, 3, H, W)`` styled pictures; of a keyframe, the keyframe.
        own: the source's pictures at the same frames.
        tokens: ``(b, 32)`` ids of the captions.
        estimate: where one was asked for, the classical estimate from a second set of keyframes.
        confidence: its mask, ``(b, 4, slots, h, w)``.
        need: how far a refined change is laid on it, ``(b, T, H, W)`` in [0, 1].
        agreement: of its keyframes, ``(b,)`` in [0, 1].
    """

    target: Tensor
    source: Tensor
    keys: Tensor
    mask: Tensor
    slots: Tensor
    pictures: Tensor
    own: Tensor
    tokens: Tensor
    estimate: Tensor | None = None
    confidence: Tensor | None = None
    need: Tensor | None = None
    agreement: Tensor | None = None


def lay_out(target: Tensor, source: Tensor, styled: Tensor, keys: list[list[int]], tokens: Tensor) -> Lesson:
    """Lay out all that shows keyframes.

    Args:
        target: ``(b, 3, T, H, W)`` in [-1, 1], the right answer.
        source: the same shape, the clip before the edit.
        styled: the same shape, of which keyframes are taken.
        keys: their pixel frames, clip by clip.
        tokens: ids of the captions.
    """
    mask = torch.stack([keyframe_mask(at, target.shape[2], 1, 1) for at in keys]).to(target.device)
    slots, index = choose_slots(mask[:, :, :, 0, 0])
    return Lesson(
        target=target,
        source=source,
        keys=keyframe_clip(styled, source, keys),
        mask=mask,
        slots=slots,
        pictures=pixel_frames(styled, index),
        own=pixel_frames(source, index),
        tokens=tokens,
    )
