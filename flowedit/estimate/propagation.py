"""Classical: carry the keyframes along the source's motion, from both sides, and know where that cannot be trusted."""

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from flowedit.estimate.colour_map import Frame, Video, checked_keyframes
from flowedit.estimate.motion import Motion, Motions, full_places, read_at

_COLOUR_TOLERANCE = 255 / 60
"""Difference, in 8-bit levels, of a source pixel and the one it is taken from that lowers trust by the factor e."""
_SPREAD_TOLERANCE = 255 / 20
"""Disagreement of the candidates, in 8-bit levels, that lowers trust by the factor e."""
_BLOCK = 20
"""Frames between two keyframes whose motion to the later one is kept at once."""
_PATCH, _TIMES, _HASTE, _MOST_ODDS = 32, 3.0, 20.0, 4.0
"""Of keyframes that are kept apart: sides, in pixels, of the patches that pass from one to the next at times of their
own, how far those times differ, how fast a patch passes, and the most by which one is preferred; logarithms all."""
_STRIP = 1 << 17
"""Pixels that are mixed at a time, for the memory of large frames."""


class Carried(NamedTuple):
    """One frame made of carried keyframes.

    Attributes:
        frame: uint8 (H, W, 3); at a keyframe, that itself.
        confidence: float32 (H, W) in [0, 1], how far each pixel can be trusted: the product of the forward-backward
            agreement of the best flow, the likeness of the source there, and the agreement of the candidates.
    """

    frame: np.ndarray
    confidence: np.ndarray


class Candidate(NamedTuple):
    """One way to fill a frame: the keyframe, where its pixels lie, and how sure that is."""

    keyframe: int
    places: Float32[np.ndarray, "H W 2"]
    surety: Float32[np.ndarray, "h w"]


def propagation(frames: Video, keyframes: Mapping[int, Frame], out: Video | None = None) -> Video:
    """Carry the styled keyframes to every other frame along the source's optical flow; see `carry`.

    The result is written to `out`, where that is given; `frames` itself will do.
    """
    made, carried = np.empty_like(frames) if out is None else out, carry(frames, [checked_keyframes(frames, keyframes)])
    write_frames(made, ((i, one.frame) for i, (one,) in carried), keyframes)
    return made


def write_frames(out: Video, painted: Iterable[tuple[int, Frame]], keyframes: Container[int]) -> None:
    """Write frames as they come, those at keyframes last: where `out` is the source, it is read there to the end."""
    last = dict[int, Frame]()
    for i, frame in painted:
        if i in keyframes:
            last[i] = frame
        else:
            out[i] = frame
    for i, frame in last.items():
        out[i] = frame


def carry(
    frames: Video, sets: Sequence[Mapping[int, Frame]], apart: float = 0.0
) -> Iterator[tuple[int, list[Carried]]]:
    """Fill each frame, in order, with pixels of the nearest keyframe before and after it, for several sets of pictures.

    Each keyframe is reached by two motions: small steps put together, and one stroke. A pixel mixes these candidates by
    `exp(-e / tolerance - p / tolerance) / (1 + d)`: e is the forward-backward error of the flow, p the colour
    difference of the *source* along it (both large behind an occlusion), d the distance in frames. One keyframe is
    enough; frames outside the first and last keyframe use the nearest one. Of the source, a frame that was given is
    not read again, unless it is a keyframe's.

    Memory: four flows for each of 20 frames, and two for every 20 frames between two keyframes, at 1024 pixels a side
    at most.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        sets: pictures at the keyframes by pixel index, checked; the same indices, in order, in each.
        apart: how far keyframes with strokes of their own are kept apart, in [0, 1]: at 1 a place shows one of two, and
            passes from the first to the second at a time of its own.
    """
    motion, size = Motion(frames), frames.shape[1:3]
    times = _times(size) if apart else None
    for before, after in pairwise([None, *sets[0], None]):
        if before is not None:
            sure = np.ones(size, np.float32)
            yield before, [Carried(images[before], sure) for images in sets]
        for i, ways in _stretch(motion, len(frames), before, after):
            nearness = {k: np.full((size[0], 1), 1 / (1 + abs(i - k)), np.float32) for k, _ in ways}
            if times is not None and before is not None and after is not None:
                odds = apart / 2 * _odds(times, i - before, after - i)
                nearness = {before: nearness[before] * np.exp(-odds), after: nearness[after] * np.exp(odds)}
            # Candidates have no name here: they are large, and go before the next frame's are there.
            yield i, _mixed(frames, i, [candidate(motion, k, each, size) for k, each in ways], nearness, sets)


def _times(size: tuple[int, int]) -> Float32[np.ndarray, "H W"]:
    """When each place of a (height, width) passes to the later keyframe, around 0."""
    height, width = size
    drawn = np.random.default_rng(0).random((height // _PATCH + 2, width // _PATCH + 2), dtype=np.float32)
    return _TIMES * (cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC) - np.float32(0.5))


def _odds(times: Float32[np.ndarray, "H W"], since: int, until: int) -> Float32[np.ndarray, "H W"]:
    """By what logarithm the later keyframe is preferred, so many frames since the earlier one and until the later."""
    return np.clip(_HASTE * (math.log((1 + since) / (1 + until)) + times), -_MOST_ODDS, _MOST_ODDS)


def _stretch(
    motion: Motion, num_frames: int, before: int | None, after: int | None
) -> Iterator[tuple[int, list[tuple[int, Motions]]]]:
    """The frames between two neighbouring keyframes, or a keyframe and an end, with the motions to each keyframe.

    Motion to the later one is measured against it, a block at a time: a first walk back leaves a mark at the end of
    each block but the last, from which the block is walked again.
    """
    first, last = (-1 if before is None else before) + 1, num_frames if after is None else after
    starts, marks = range(first, last, _BLOCK), dict[int, Motions]()
    if after is not None and len(starts) > 1:
        for i, motions in motion.walk(after, first):
            motion.forget()
            if i in starts[1:]:
                marks[i] = motions
    ahead = iter(()) if before is None else motion.walk(before, last)
    for start in starts:
        stop, back = min(start + _BLOCK, last), dict[int, Motions]()
        if after is not None:
            back = dict(motion.walk(after, start - 1, (stop, marks.pop(stop)) if stop in marks else None))
        for i in range(start, stop):
            ways = [] if before is None else [(before, next(ahead)[1])]
            ways += [] if after is None else [(after, back.pop(i))]
            # A neighbour's small step is measured at one stroke already.
            yield i, ways + [(k, motion.direct(i, k)) for k, _ in ways if abs(i - k) > 1]
            if before is None or after is None:
                motion.forget()
    motion.forget()


def candidate(motion: Motion, keyframe: int, motions: Motions, size: tuple[int, int]) -> Candidate:
    """Fill a frame of a (height, width) from a keyframe, along the motions between the two."""
    surety = cv2.resize(cv2.exp(motions.gap * (-1 / motion.tolerance)), size[::-1])
    return Candidate(keyframe, full_places(motions.there, size), surety)


def _mixed(
    frames: np.ndarray,
    i: int,
    candidates: Sequence[Candidate],
    nearness: Mapping[int, Float32[np.ndarray, "H _"]],
    sets: Sequence[Mapping[int, Frame]],
) -> list[Carried]:
    """A frame of each set from all candidates, which count by their keyframe's nearness, a strip of rows at a time."""
    height, width = frames.shape[1:3]
    made = [Carried(np.empty_like(frames[i]), np.empty((height, width), np.float32)) for _ in sets]
    step = max(1, _STRIP // width)
    for rows in (slice(top, top + step) for top in range(0, height, step)):
        trusts = [trust(frames, i, each, rows) for each in candidates]
        # The floor leaves a plain average where no candidate can be trusted.
        near = [nearness[each.keyframe][rows] for each in candidates]
        weights = [one * each + np.float32(1e-6) for one, each in zip(trusts, near, strict=True)]
        whole, best = reduce(np.add, weights), reduce(np.maximum, trusts)
        shares = [weight / whole for weight in weights]
        for one, images in zip(made, sets, strict=True):
            seen = [read_at(images[each.keyframe], each.places[rows], cv2.INTER_CUBIC) for each in candidates]
            one.frame[rows], spread = _average(seen, shares)
            one.confidence[rows] = best * cv2.exp(spread * (-1 / _SPREAD_TOLERANCE))
    return made


def trust(frames: np.ndarray, i: int, candidate: Candidate, rows: slice) -> Float32[np.ndarray, "h w"]:
    """How far some rows of frame `i` can be taken from a keyframe along a motion, whatever is painted there."""
    there = read_at(frames[candidate.keyframe], candidate.places[rows])
    return candidate.surety[rows] * cv2.exp(_apart(there, frames[i][rows]) * (-1 / _COLOUR_TOLERANCE))


def _average(pictures: Sequence[Frame], shares: Sequence[np.ndarray]) -> tuple[Frame, Float32[np.ndarray, "h w"]]:
    """Pictures mixed by shares that add up to 1, and how far they lie from the mixture, in 8-bit levels."""
    planes = zip(*(cv2.split(picture) for picture in pictures), strict=True)
    sums = [reduce(np.add, map(np.multiply, shares, each)) for each in planes]
    mixed = cv2.convertScaleAbs(cv2.merge(sums))
    return mixed, reduce(np.add, [share * _apart(one, mixed) for share, one in zip(shares, pictures, strict=True)])


def _apart(one: Frame, other: Frame) -> Float32[np.ndarray, "h w"]:
    """Mean distance of the three channels, in 8-bit levels."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return (cv2.add(red, green, dtype=cv2.CV_32F) + blue) * np.float32(1 / 3)
