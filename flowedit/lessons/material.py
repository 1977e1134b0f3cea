"""What the lessons edit: held-out clips of the small model's world, real clips, keyframes of them, and their editor."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np
import torch

from flowedit.agent.painting import analyse, paint
from flowedit.agent.stylers import LOOKS
from flowedit.edit.preparation import prepare, sigma_grid
from flowedit.edit.steps import edit_steps, finish
from flowedit.errors import ModelError
from flowedit.frames import fit_size
from flowedit.keyframes import Keyframe
from flowedit.media.clip import read_video, resize_video
from flowedit.media.clips import ShippedClip, shipped_clip
from flowedit.media.images import Picture
from flowedit.model import ClipShape, VideoModel
from flowedit.models import load_model
from flowedit.settings import EditSettings
from flowedit.tiny.looks import look
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.world import render, sample_scene
from flowedit.wan.memory import measure_resources
from flowedit.widgets import RunPanel
from flowedit.widgets.clip_picker import Painter, Picked

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
        """Keyframes as by hand: each a little different in colour, light and place, with visible strokes."""
        rng = np.random.default_rng(seed)
        return tuple(Keyframe(index, _by_hand(self.truth[index], rng)) for index in indices or NATURAL)


@cache
def clip(scene: int = 8, style: str = "comic", *, frames: int = 33, height: int = 128, width: int = 128) -> LessonClip:
    """A held-out scene and its exact edit in a look of `flowedit.tiny.looks`; the small model has seen neither."""
    g = generator(Split.TEST, scene)
    rendered = render(sample_scene(g, 1, frames), height, width)
    caption = rendered.captions[0]
    truth = stylize(rendered, look(style, g))
    return LessonClip(
        frames=_uint8(rendered.rgb), truth=_uint8(truth), prompt=f"{style} {caption}", source_prompt=caption
    )


@cache
def film(
    name: ShippedClip = "coffee", style: str = "watercolour", *, frames: int = 33, size: tuple[int, int] | None = None
) -> LessonClip:
    """A clip that comes with the package, at the size that the small model works at, and each frame painted in a look.

    All frames share one style card and one grain of paper: what a painter with a perfectly steady hand would paint.
    """
    own = read_video(shipped_clip(name), num_frames=frames).frames
    clip = resize_video(own, size or fit_size(*own.shape[1:3], area=128 * 128, multiple=16))
    return LessonClip(frames=clip, truth=np.stack(painters()[style](clip)), prompt="", source_prompt="")


def painters() -> dict[str, Painter]:
    """By name, what paints pictures offline in one look, all of them alike."""
    return {name: partial(_painted, name) for name in LOOKS if name != "transfer"}  # that one asks for a picture


def _painted(look: str, images: Sequence[Picture]) -> list[Picture]:
    card = analyse(images[:: max(1, len(images) // 4)], LOOKS[look], None)
    return [paint(image, card, 0, 1.0) for image in images]


def panel(settings: EditSettings) -> Callable[[Callable[[], Picked]], RunPanel]:
    """What makes a picker's panel: start, progress, cancel, and the `EditResult` in its `result`."""

    def panel_of(picked: Callable[[], Picked]) -> RunPanel:
        def work() -> Iterator[object]:
            clip = picked()
            yield "preparing"
            prepared = prepare(clip.frames, clip.keyframes, small_model(), settings)
            for step in edit_steps(prepared):
                yield step
            yield finish(prepared, step.latents)

        return RunPanel(work, total=len(sigma_grid(settings)), heading="The edit of your clip", note=what_ran(settings))

    return panel_of


@cache
def small_model() -> VideoModel:
    """The shipped small Wan, on the GPU if there is one; loaded once per notebook."""
    return load_model("tiny")


def large_model(size: str, shape: ClipShape) -> VideoModel:
    """A real model, or a `ModelError` that says whether a GPU or the weights are missing."""
    if not measure_resources().gpu_total:
        raise ModelError("there is no GPU here, and these weights need one.")
    return load_model(size, shape=shape)


def what_ran(settings: EditSettings) -> str:
    """One line that says which method an edit runs, how it corrects, and whether the model sees an estimate."""
    if settings.method == "refine":
        return "ran: method refine, no correction, on a classical estimate of the clip"
    if settings.classical:
        return f"ran: method {settings.method}, without a model"
    correction = f"correction {settings.gain}" if settings.gain(1.0) else "no correction"
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
