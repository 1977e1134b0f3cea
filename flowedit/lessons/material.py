"""What the lessons edit: held-out clips of the small model's world whose exact edit is known, and keyframes of them."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch

from flowedit.errors import ModelError
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape, VideoModel
from flowedit.models import load_model
from flowedit.settings import EditSettings
from flowedit.tiny.looks import look
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.world import render, sample_scene
from flowedit.wan.memory import measure_resources

NATURAL = (0, 16, 32)
"""Keyframes that the lessons use unless they say otherwise: the last frames of their groups."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LessonClip:
    """A computed clip and the same clip in a look, both uint8 (F, H, W, 3)."""

    frames: np.ndarray
    truth: np.ndarray  # the source in the look, frame by frame exact: what an edit should reach
    prompt: str  # of the edited clip
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
        style: a name in `flowedit.tiny.looks.LOOKS`.
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


@cache
def small_model() -> VideoModel:
    """The shipped small Wan, on the GPU if there is one; loaded once per notebook."""
    return load_model("tiny")


def large_model(size: str, shape: ClipShape) -> VideoModel:
    """A real model, where this machine has a GPU for it and its weights.

    Raises:
        ModelError: which of the two is missing, and what helps.
    """
    if not measure_resources().gpu_total:
        raise ModelError("there is no GPU here, and these weights need one.")
    return load_model(size, shape=shape)


def what_ran(settings: EditSettings) -> str:
    """One line that says which method an edit runs, how it corrects, and whether the model sees an estimate."""
    if settings.method == "refine":
        return "ran: method refine, no correction, on a classical estimate of the clip"
    correction = f"correction {settings.gain}" if settings.gain(1.0) and not settings.classical else "no correction"
    return f"ran: method {settings.method}, {correction}, without an estimate"


def _uint8(video: torch.Tensor) -> np.ndarray:
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
