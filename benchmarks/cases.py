"""The benchmark's cases: clips whose exact edit is known, under three keyframe conditions."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from flowedit.keyframes import Keyframe

AT = (0, 16, 32)
"""Frames at which the truth is given as keyframes."""
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
        caption: words for the clip and its style.
        source_caption: words for the clip alone.
        frames: the source, uint8 (F, H, W, 3).
        truth: the same scene in the style, uint8 (F, H, W, 3).
        ink: where the scene has lines, (F, H, W) in [0, 1].
        keyframes: the styled keyframes.
        condition: how the keyframes were made.
        hidden: (F, H, W) bool, True where no keyframe shows that point of the scene; None where the world cannot tell.
        flow: (F - 1, H, W, 2), position of each pixel of frame i in frame i + 1, with `visible`; None likewise.
        visible: (F - 1, H, W) bool, whether that point can be seen there.
    """

    world: World
    scene: int
    family: str
    caption: str
    source_caption: str
    frames: np.ndarray
    truth: np.ndarray
    ink: np.ndarray
    keyframes: tuple[Keyframe, ...]
    condition: Condition = Condition.EXACT
    hidden: np.ndarray | None = None
    flow: np.ndarray | None = None
    visible: np.ndarray | None = None


def under(case: Case, condition: Condition) -> Case:
    """The same case with keyframes of another condition."""
    keyframes = case.keyframes
    if condition is Condition.SPARSE:
        keyframes = keyframes[:1]
    if condition is Condition.DISAGREEING:
        rng = np.random.default_rng(_JITTER_SEED + case.scene)
        keyframes = tuple(Keyframe(k.index, disagree(k.image, case.ink[k.index], rng)) for k in keyframes)
    return replace(case, condition=condition, keyframes=keyframes)


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
