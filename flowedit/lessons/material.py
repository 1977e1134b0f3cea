"""What the lessons edit: held-out clips of the small model's world whose exact edit is known, and keyframes of them."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from flowedit.keyframes import Keyframe
from flowedit.tiny.looks import LOOKS
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.styles import look, stylize
from flowedit.tiny.world import render, sample_scene

if TYPE_CHECKING:
    from benchmarks.memory import Remembering

NATURAL = (0, 16, 32)
"""Keyframes that the lessons use unless they say otherwise: the last frames of their groups."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LessonClip:
    """A computed clip and the same clip in a look.

    Attributes:
        frames: the source, uint8 (F, H, W, 3).
        truth: the source in the look, frame by frame exact: what an edit should reach.
        prompt: words for the edited clip.
        source_prompt: words for the source.
    """

    frames: np.ndarray
    truth: np.ndarray
    prompt: str
    source_prompt: str

    def keyframes(self, *indices: int) -> tuple[Keyframe, ...]:
        """Exact styled keyframes at these pixel frames; by default 0, 16 and 32."""
        return tuple(Keyframe(index, self.truth[index]) for index in indices or NATURAL)

    def painted(self, *indices: int, seed: int = 0) -> tuple[Keyframe, ...]:
        """Keyframes as by hand: each a little different in colour, light and place, with visible strokes.

        Args:
            indices: pixel frames; by default 0, 16 and 32.
            seed: of the painter's hand.
        """
        rng = np.random.default_rng(seed)
        return tuple(Keyframe(index, _by_hand(self.truth[index], rng)) for index in indices or NATURAL)


@cache
def clip(scene: int = 8, style: str = "comic", *, frames: int = 33, height: int = 128, width: int = 128) -> LessonClip:
    """A held-out scene, rendered, and its exact edit; the small model has seen neither.

    Args:
        scene: which of the held-out scenes, from 0.
        style: one of `looks()`.
        frames: `4n + 1`.
        height: of a frame.
        width: of a frame.
    """
    g = generator(Split.TEST, scene)
    rendered = render(sample_scene(g, 1, frames), height, width)
    caption = rendered.captions[0]
    truth = stylize(rendered, look(style, g))
    return LessonClip(
        frames=_uint8(rendered.rgb), truth=_uint8(truth), prompt=f"{style} {caption}", source_prompt=caption
    )


def looks() -> tuple[str, ...]:
    """Names of the looks that `clip` knows."""
    return tuple(LOOKS)


@cache
def small_model(device: str | None = None) -> "Remembering":
    """The shipped small Wan, on the GPU if there is one; loaded once per notebook, and computing no clip twice."""
    from benchmarks.memory import Remembering
    from flowedit.models import load_model

    return Remembering(load_model("tiny", device=device))


def _uint8(video: Tensor) -> np.ndarray:
    return (video[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()


def _by_hand(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One picture repainted: strokes, another mix of colours, another light, a hand that misses by a pixel or two."""
    height, width = image.shape[:2]
    strokes = cv2.edgePreservingFilter(image, flags=cv2.RECURS_FILTER, sigma_s=12, sigma_r=0.4).astype(np.float32) / 255
    mix = np.eye(3) + rng.normal(0, 0.09, (3, 3))
    colours = (strokes - 0.5) @ mix.T * rng.uniform(0.85, 1.15) + 0.5 + rng.normal(0, 0.07, 3)
    waves = cv2.resize(rng.normal(0, 1, (2, 5, 5)).transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:height, :width]
    moved = ((x + 1.5 * waves[..., 0]).astype(np.float32), (y + 1.5 * waves[..., 1]).astype(np.float32))
    painted = cv2.remap(colours.astype(np.float32), *moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return (np.clip(painted, 0, 1) * 255).round().astype(np.uint8)
