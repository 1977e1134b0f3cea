"""The classical estimate: two maps common to all keyframes, and on top the keyframes' own detail carried along.

The colour map knows what every colour becomes, occluded or not, but nothing of lines and texture; the map from a
pixel's surroundings knows outlines and glow; propagation knows everything, but not behind an occlusion, and it carries
each keyframe's own mistakes. So each keyframe is split into what the colour map explains, what a keyframe's own tint
adds (dropped: keyframes painted one by one disagree in it), what the surroundings explain, and the detail that is
left; the detail is carried, and counts as far as the motion can be trusted. Where the maps explain little and the
motion is sure, the keyframe itself is carried in its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.errors import VideoShapeError
from flowedit.estimate.classical import checked_keyframes
from flowedit.estimate.colour_map import fitted_map
from flowedit.estimate.local_regression import Added, Frame, Learned, Surroundings
from flowedit.estimate.propagation import Carried, carry

_TINT_RIDGE = 4.0
"""Weight, in squared 8-bit levels, that draws a keyframe's tint towards none."""
_HALF = 128
_UNEXPLAINED = 12.0
"""Detail, root mean square in 8-bit levels, from which carrying it counts as a risk."""
_NOTHING = 1.5
"""Detail up to which the colour map has explained the style, and surroundings have nothing to tell."""
_EAGER = 8.0
"""How many times the doubt a refinement is laid on the estimate: it is better nearly from where doubt begins."""
_SHARPEST, _SOFTEST = 0.125, 0.5
"""Power of the confidence with which carried detail is laid down, where keyframes agree and where they do not."""
_STEADY = 12.0
"""Power to which the steadiness of whole keyframes, beside that of their detail, is raised."""
_SLIP = 0.25
"""Weight of what a carried keyframe says otherwise than the maps, beside the detail that they leave unexplained."""
_NEAR = 1 / 128
"""Reach, as a share of the shorter side, within which both are averaged; twice as far for the detail."""
_AGREE, _DISAGREE = 3.0, 7.0
"""Tints, root mean square in 8-bit levels, up to which keyframes count as agreeing and from which as disagreeing."""
_COMMON = 1.0
"""Need everywhere when keyframes disagree, for then the estimate is uncertain everywhere."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A classical estimate of the edited clip.

    Attributes:
        frames: uint8 (F, H, W, 3).
        confidence: float32 (F, H, W) in [0, 1]: where the estimate needs no model: the motion is sure, or the colour
            map explains the style so well that there is no detail to carry; 1 at the keyframes.
        tint: how far the keyframes' own colours are from the common map, root mean square in 8-bit levels, the mean
            over the keyframes: near 0 where they agree.
    """

    frames: UInt8[np.ndarray, "F H W 3"]
    confidence: Float32[np.ndarray, "F H W"]
    tint: float = 0.0

    def need(self) -> Float32[np.ndarray, "F H W"]:
        """How far a model's refinement takes the estimate's place at each pixel, in [0, 1].

        The numbers in it were chosen on the benchmark's validation scenes; see docs/quality.md.
        """
        return np.clip(_EAGER * (1 - self.confidence), np.float32(_COMMON * (1 - self.agreement)), 1)

    @property
    def agreement(self) -> float:
        """How far the keyframes bear one another out in their colours, in [0, 1]: how far the map of all is right."""
        return 1 - _disagreement(self.tint)


def estimated_frames(
    frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, UInt8[np.ndarray, "H W 3"]]
) -> UInt8[np.ndarray, "F H W 3"]:
    """The frames of `estimate`, without the confidence."""
    return estimate(frames, keyframes).frames


def estimate(frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, UInt8[np.ndarray, "H W 3"]]) -> Estimate:
    """Recolour the clip by the common map and carry the keyframes' detail to every frame.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    return estimates(frames, [keyframes])[0]


def estimates(
    frames: UInt8[np.ndarray, "F H W 3"], sets: Sequence[Mapping[int, UInt8[np.ndarray, "H W 3"]]]
) -> list[Estimate]:
    """`estimate` for several sets of keyframes at the same indices, which share motion and surroundings.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        sets: styled images by pixel index, the same indices in each.

    Raises:
        KeyframeError: as for `estimate`, or sets that differ in their indices.
    """
    drawings = _Drawings(frames, sets)
    made = [
        Estimate(np.empty_like(frames), np.empty(frames.shape[:3], np.float32), each.tint) for each in drawings.each
    ]
    for i, parts in drawings.painted():
        for one, part in zip(made, parts, strict=True):
            one.frames[i], one.confidence[i] = part
    return made


class WindowEstimates:
    """`estimate` for the windows of a long clip, from the first to the last: equal to the bit, and never made whole.

    Memory: the frames of a window, and the motion of 32 frames and of one in 32 between two keyframes.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: as for `estimate`.
    """

    def __init__(self, frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, Frame]) -> None:
        drawings = _Drawings(frames, [keyframes])
        self._tint, self._coming = drawings.each[0].tint, drawings.painted()
        self._start, self._known = 0, dict[int, _Painted]()

    def window(self, part: slice) -> Estimate:
        """The estimate of some of the frames.

        Raises:
            VideoShapeError: they begin before those asked for last, of which nothing earlier is kept.
        """
        if part.start < self._start:
            raise VideoShapeError(
                f"Windows come in order; the last began at frame {self._start}, this one at {part.start}."
            )
        wanted = range(part.start, part.stop)
        self._start, self._known = part.start, {i: one for i, one in self._known.items() if i >= part.start}
        while not self._known.keys() >= set(wanted):
            i, (one,) = next(self._coming)
            if i >= part.start:
                self._known[i] = one
        parts = [self._known[i] for i in wanted]
        return Estimate(np.stack([one.frame for one in parts]), np.stack([one.confidence for one in parts]), self._tint)


class _Painted(NamedTuple):
    """One frame of an estimate, uint8 (H, W, 3), and its confidence, float32 (H, W)."""

    frame: np.ndarray
    confidence: np.ndarray


class _Drawings:
    """Estimates in the making, of sets of keyframes at the same indices: all is learned at once, frames come in turn.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        sets: styled images by pixel index, the same indices in each.

    Attributes:
        each: one per set.
    """

    def __init__(self, frames: UInt8[np.ndarray, "F H W 3"], sets: Sequence[Mapping[int, Frame]]) -> None:
        self._frames = frames
        self.each = [_Drawing(frames, checked_keyframes(frames, keyframes)) for keyframes in sets]
        self._surroundings: Surroundings | None = None
        self._learn([each for each in self.each if each.power > _NOTHING**2])
        self._carried = carry(frames, [each.pictures() for each in self.each] + [each.wholes() for each in self.each])
        for each in self.each:
            each.forget()

    def painted(self) -> Iterator[tuple[int, list[_Painted]]]:
        """Each index with its frame of every estimate, once, in the order of `carry`."""
        for i, carried in self._carried:
            details, wholes = carried[: len(self.each)], carried[len(self.each) :]
            parts = zip(self.each, self._bases(i), details, wholes, strict=True)
            yield i, [each.paint(base, detail, whole) for each, base, detail, whole in parts]

    def _learn(self, drawings: Sequence["_Drawing"]) -> None:
        """Add to each base what the surroundings tell of its style, where the keyframes bear one another out."""
        if not drawings:
            return
        indices = list(drawings[0].base)
        self._surroundings = Surroundings({index: self._frames[index] for index in indices})
        for drawing in drawings:
            style = self._surroundings.learn(drawing.detail)
            drawing.style = style if style.belief > 0 else None
        self._surroundings.forget()
        for index in indices:
            for drawing, added in zip(self.each, self._added(index), strict=True):
                drawing.base[index] = drawing.base[index] + added
        for drawing in self.each:
            if drawing.style is not None:
                drawing.split()

    def _bases(self, i: int) -> list[Float32[np.ndarray, "H W 3"]]:
        """What the maps know of a frame, for each set."""
        if i in self.each[0].base:
            return [each.base[i] for each in self.each]
        frame = self._frames[i]
        return [each.recoloured(frame) + added for each, added in zip(self.each, self._added(i), strict=True)]

    def _added(self, i: int) -> list[Added | float]:
        """What the surroundings add to a frame, for each set; 0 where they tell nothing of its style."""
        styles = {n: each.style for n, each in enumerate(self.each) if each.style is not None}
        told: dict[int, Added] = {}
        if styles and self._surroundings is not None:
            told = dict(zip(styles, self._surroundings.tell(self._frames[i], list(styles.values())), strict=True))
        return [told.get(n, 0.0) for n in range(len(self.each))]


class _Drawing:
    """What one set of keyframes tells of its style.

    Attributes:
        base: what the maps know of each keyframe so far, float32 (H, W, 3), by pixel index.
        detail: what base and tint leave of it, in 8-bit levels; empty once it is carried.
        style: what the surroundings add; None where they tell nothing.
        power: mean square of the detail, in squared 8-bit levels.
        tint: how far the keyframes' own colours are from the base.
    """

    def __init__(self, frames: UInt8[np.ndarray, "F H W 3"], keys: Mapping[int, Frame]) -> None:
        self._recolour = fitted_map(frames, keys)
        self._keys = keys
        self.base = {index: self.recoloured(frames[index]) for index in keys}
        self._coloured = dict(self.base)
        self.style: Learned | None = None
        self.split()

    def recoloured(self, frame: Frame) -> Float32[np.ndarray, "H W 3"]:
        """A frame of the source by the colour map alone."""
        return self._recolour(frame).astype(np.float32)

    def split(self) -> None:
        """Take base and tint from each keyframe."""
        self.detail: dict[int, Float32[np.ndarray, "H W 3"]] = {}
        tints = []
        for index, image in self._keys.items():
            coloured = self._coloured[index]
            left = image - (self.base[index] - coloured)
            tinted = _tinted(coloured, left)
            self.detail[index] = left - tinted
            tints.append(float(np.sqrt(np.square(tinted - coloured).mean())))
        self.tint = float(np.mean(tints))
        self.power = float(np.mean([np.square(d).mean() for d in self.detail.values()]))

    def pictures(self) -> dict[int, Frame]:
        """The detail as something that can be carried: half of it around mid grey fits a picture."""
        return {i: np.rint(d / 2 + _HALF).clip(0, 255).astype(np.uint8) for i, d in self.detail.items()}

    def wholes(self) -> dict[int, Frame]:
        """The keyframes without their own tint, as they are carried whole."""
        return {i: np.rint(self.base[i] + d).clip(0, 255).astype(np.uint8) for i, d in self.detail.items()}

    def forget(self) -> None:
        """Drop what is needed no more once the detail is carried."""
        self.detail, self._coloured = {}, {}

    def paint(self, base: Float32[np.ndarray, "H W 3"], detail: Carried, whole: Carried) -> _Painted:
        """The carried detail on the base, as far as it is trusted, or the carried keyframe where that is surer."""
        left = 2 * (detail.frame.astype(np.float32) - _HALF)
        left += _whole_share(base, left, detail, whole) * (whole.frame - base - left)
        power = _SHARPEST + (_SOFTEST - _SHARPEST) * _disagreement(self.tint)
        mixed = base + detail.confidence[..., None] ** np.float32(power) * left
        doubt = (1 - detail.confidence) * np.float32(min(1.0, self.power / _UNEXPLAINED**2))
        return _Painted(np.rint(mixed).clip(0, 255).astype(np.uint8), 1 - doubt)


def _whole_share(
    base: Float32[np.ndarray, "H W 3"], left: Float32[np.ndarray, "H W 3"], detail: Carried, whole: Carried
) -> Float32[np.ndarray, "H W 1"]:
    """How far a carried keyframe is better than its carried detail on the base, in [0, 1].

    It is where the maps explain little, for what they get wrong differs from frame to frame, and where the keyframe
    says nearly what they say, so that the motion cannot be far off; and where the candidates for whole keyframes agree
    no less than those for their detail.
    """
    steady = np.minimum(1, whole.confidence / np.maximum(detail.confidence, np.float32(1e-3))) ** _STEADY
    unexplained = _power_near(left, 2 * _NEAR)
    slip = _power_near(whole.frame - base - left, _NEAR)
    return (steady * unexplained / (unexplained + _SLIP * slip + 1))[..., None].astype(np.float32)


def _power_near(picture: Float32[np.ndarray, "H W 3"], reach: float) -> Float32[np.ndarray, "H W"]:
    """Mean square over channels and neighbours, in squared 8-bit levels."""
    return cv2.GaussianBlur(np.square(picture).mean(axis=2), (0, 0), reach * min(picture.shape[:2]))


def _disagreement(tint: float) -> float:
    """How far keyframes whose tints are so strong disagree, in [0, 1]."""
    return min(1.0, max(0.0, (tint - _AGREE) / (_DISAGREE - _AGREE)))


def _tinted(base: Float32[np.ndarray, "H W 3"], image: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W 3"]:
    """The recoloured frame with the keyframe's own tint: the affine change of its colours nearest to the keyframe."""
    pixels = base.reshape(-1, 3).astype(np.float64)
    terms = np.concatenate([pixels / 255, np.ones((len(pixels), 1))], axis=1)
    error = image.reshape(-1, 3) - pixels
    gram = terms.T @ terms / len(terms) + _TINT_RIDGE / 255**2 * np.eye(4)
    tint = np.linalg.solve(gram, terms.T @ error / len(terms))
    return (pixels + terms @ tint).reshape(base.shape).astype(np.float32)
