"""What becomes of a style's texture when the clip moves: whether it stays on the screen, and whether it goes along.

Paper, grain, halftone dots and a painted border stay where they are while the clip moves below them; an outline moves
with what it surrounds; strokes that were set anew in every keyframe do neither. Which it is shows between keyframes:
in what they have in common at the same place, and along the motion.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.estimate.colour_map import Frame
from flowedit.estimate.motion import Motion, read_at
from flowedit.estimate.propagation import candidate, trust

_MOVED = 8
"""Difference of the source, in 8-bit levels, from which a place shows something else in the next keyframe."""
_LEAST = 0.1
"""Correlation on the screen from which texture counts as fixed to it; without any it is below 0.03."""
_FINE = 1.5
"""Radius, in pixels, below which detail is texture."""
_LOOSE, _FIRM = 0.15, 0.3
"""Correlation along the motion up to which keyframes count as painted anew, and from which as one painting."""
_FAINT, _STRONG = 6.0, 12.0
"""Detail, root mean square in 8-bit levels, from which it is seen that it was painted anew, and fully."""


Detail = Callable[[int], Float32[np.ndarray, "H W 3"]]
"""Keyframe -> what the maps leave of it, in 8-bit levels; it is large, and made when it is asked for."""


def screen_layer(
    frames: UInt8[np.ndarray, "F H W 3"], keyframes: Sequence[int], detail: Detail
) -> Float32[np.ndarray, "H W 3"] | None:
    """What the keyframes' details have in common on the screen, in 8-bit levels; None where that is nothing.

    It is their mean, shrunk as far as they differ (Wiener's filter). Only places that show something else in the next
    keyframe tell: where nothing moves, texture of the surface stays in place, too.

    Args:
        frames: the source.
        keyframes: their indices, in order.
        detail: what the maps leave of one.
    """
    common = power = 0.0
    for i, j in pairwise(keyframes):
        moved = cv2.absdiff(frames[i], frames[j]).max(axis=2) > _MOVED
        one, other = detail(i)[moved], detail(j)[moved]
        common += float(np.sum(one * other, dtype=np.float64))
        power += float(np.sum(one * one + other * other, dtype=np.float64)) / 2
    if common <= _LEAST * power:
        return None
    count, alike = len(keyframes), common / power
    return reduce(np.add, map(detail, keyframes)) * np.float32(alike / (1 + (count - 1) * alike))


def painted_anew(
    frames: UInt8[np.ndarray, "F H W 3"], detail: Detail, keyframes: Mapping[int, Frame], power: np.floating
) -> float:
    """How far strokes were set anew in every keyframe, in [0, 1]: 0 where they follow the motion or hardly show.

    Args:
        frames: the source.
        detail: what the maps leave of a keyframe.
        keyframes: the whole pictures, in order.
        power: mean square of the details.
    """
    seen = np.clip((np.sqrt(power) - _FAINT) / (_STRONG - _FAINT), 0, 1)
    if not seen or len(keyframes) < 2:
        return 0.0
    along = _alike(frames, [*keyframes], [detail, keyframes.__getitem__])
    return float(seen * np.clip((_FIRM - along) / (_FIRM - _LOOSE), 0, 1))


def _alike(
    frames: UInt8[np.ndarray, "F H W 3"], keyframes: Sequence[int], sets: Sequence[Callable[[int], np.ndarray]]
) -> float:
    """The largest correlation, over sets of pictures, of texture along the motion from keyframe to keyframe."""
    motion, sums, (height, width) = Motion(frames), np.zeros((len(sets), 2)), frames.shape[1:3]
    for i, j in pairwise(keyframes):
        way = candidate(motion, j, motion.direct(i, j), (height, width))
        sure = np.square(trust(frames, i, way, slice(0, height)))
        for total, pictures in zip(sums, sets, strict=True):
            total += _shared(sure, _fine(pictures(i)), _fine(read_at(pictures(j), way.places)))
    return float(np.max(sums[:, 0] / np.maximum(sums[:, 1], 1)))


def _shared(
    sure: Float32[np.ndarray, "H W"], one: Float32[np.ndarray, "H W 3"], other: Float32[np.ndarray, "H W 3"]
) -> list[np.floating]:
    """What two textures have in common and their mean power, summed; they are large, and used up for it."""
    common = np.sum(sure * (one * other).sum(axis=2))
    power = np.square(one, out=one)
    power += np.square(other, out=other)
    return [common, np.sum(sure * power.sum(axis=2)) / 2]


def _fine(picture: np.ndarray) -> Float32[np.ndarray, "H W 3"]:
    return cv2.subtract(picture, cv2.GaussianBlur(picture, (0, 0), _FINE), dtype=cv2.CV_32F)
