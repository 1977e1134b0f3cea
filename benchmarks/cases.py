"""The benchmark's cases: clips whose exact edit is known, at their full size, under three keyframe conditions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import cv2
import numpy as np

from flowedit.estimate import Estimate, estimate
from flowedit.keyframes import Keyframe

AT = (0, 16, 32)
"""Frames at which the truth is given as keyframes."""
DRAWS = 2
"""How often keyframes that disagree are drawn for a clip."""
_JITTER_SEED = 77_000


class World(StrEnum):
    """Where a clip comes from."""

    OWN = "own"
    PHOTOGRAPH = "photograph"
    FILM = "film"


class Condition(StrEnum):
    """How well the keyframes agree, and how many there are."""

    EXACT = "exact"
    DISAGREEING = "disagreeing"
    SPARSE = "sparse"


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One edit whose answer is known.

    Attributes:
        world: where the clip comes from.
        scene: number of the scene.
        family: what the style changes.
        caption, source_caption: words for the clip in its style, and for the clip alone.
        frames: the source, uint8 (F, H, W, 3).
        truth: the same scene in the style, uint8 (F, H, W, 3).
        ink: where the scene has lines, (F, H, W) in [0, 1].
        keyframes: the styled keyframes.
        condition: how the keyframes were made; `draw` numbers those that disagree.
        unseen: (K, F, H, W) bool, True where keyframe k does not show that point of the scene; None where the world
            cannot tell.
    """

    world: World
    scene: int
    family: str
    caption: str = ""
    source_caption: str = ""
    frames: np.ndarray
    truth: np.ndarray
    ink: np.ndarray
    keyframes: tuple[Keyframe, ...]
    condition: Condition = Condition.EXACT
    draw: int = 0
    unseen: np.ndarray | None = None

    @property
    def images(self) -> dict[int, np.ndarray]:
        """The keyframes' pictures by frame."""
        return {keyframe.index: keyframe.image for keyframe in self.keyframes}

    @property
    def hidden(self) -> np.ndarray | None:
        """(F, H, W) bool, True where no keyframe shows that point of the scene; None where the world cannot tell."""
        return None if self.unseen is None else np.asarray(self.unseen.all(axis=0))

    @cached_property
    def estimate(self) -> Estimate:
        """The classical estimate, which several rows begin with."""
        return estimate(self.frames, self.images)


def under(case: Case, condition: Condition) -> Iterator[Case]:
    """The same case with keyframes of another condition: several cases where they are drawn."""
    if condition is Condition.SPARSE:
        unseen = None if case.unseen is None else case.unseen[:1]
        yield replace(case, condition=condition, keyframes=case.keyframes[:1], unseen=unseen)
    elif condition is Condition.DISAGREEING:
        for draw in range(DRAWS):
            rng = np.random.default_rng((_JITTER_SEED + case.scene, draw))
            keyframes = tuple(Keyframe(k.index, disagree(k.image, case.ink[k.index], rng)) for k in case.keyframes)
            yield replace(case, condition=condition, keyframes=keyframes, draw=draw)
    else:
        yield case


def disagree(image: np.ndarray, ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A keyframe as an image model would give it: right on average, off in colour, contrast, line and place each time.

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
    shift = np.insert(np.eye(2), 2, rng.uniform(-1, 1, 2), axis=1)  # of a pixel at most
    picture = cv2.warpAffine(picture, shift, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)
