"""Edit a smaller copy of a clip, of which only the change is used, enlarged: a quarter of the work at half the side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from flowedit.estimate.blend import Guess
from flowedit.keyframes import Keyframe
from flowedit.media.images import resize_image, resize_video


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What an edit is made of, all at one size.

    Attributes:
        frames: the clip, uint8 (F, H, W, 3).
        keyframes: the styled keyframes, in order.
        guess: the classical guess of the edited clip; None where there is none.
    """

    frames: UInt8[np.ndarray, "F H W 3"]
    keyframes: Sequence[Keyframe]
    guess: Guess | None = None


def at_scale(material: Material, scale: float, multiple: int) -> Material:
    """The material with its sides multiplied by `scale`, rounded to what the model divides by; itself at scale 1."""
    height, width = material.frames.shape[1:3]
    size = (_side(height, scale, multiple), _side(width, scale, multiple))
    if size == (height, width):
        return material
    keyframes = [Keyframe(keyframe.index, resize_image(keyframe.image, size)) for keyframe in material.keyframes]
    scaled = Material(frames=resize_video(material.frames, size), keyframes=keyframes)
    return scaled if material.guess is None else with_guess(scaled, material.guess)


def with_guess(material: Material, guess: Guess) -> Material:
    """The material with a guess of its clip at any size, made to fit."""
    size = material.frames.shape[1:3]
    if guess.frames.shape[1:3] != size:
        trust = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in guess.trust]
        guess = replace(guess, frames=resize_video(guess.frames, size), trust=np.stack(trust))
    return replace(material, guess=guess)


def enlarge_change(change: Float[Tensor, "1 3 F h w"], size: Sequence[int]) -> Float[Tensor, "1 3 F H W"]:
    """A change of pixels at another size, by linear interpolation; itself at its own size.

    Args:
        change: of every frame, in units of the pixels.
        size: (height, width) of the result.
    """
    if tuple(change.shape[-2:]) == tuple(size):
        return change
    frames = F.interpolate(change[0].transpose(0, 1), size=tuple(size), mode="bilinear", align_corners=False)
    return frames.transpose(0, 1).unsqueeze(0)


def _side(side: int, scale: float, multiple: int) -> int:
    return max(multiple, round(side * scale / multiple) * multiple)
