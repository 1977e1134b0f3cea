"""Classical: carry the keyframes along the source's motion, from both sides, and know where that cannot be trusted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.errors import KeyframeError
from flowedit.estimate.classical import checked_keyframes
from flowedit.estimate.motion import Motion, Motions, sample

_COLOUR_TOLERANCE = 1 / 60
"""Difference, as a share of white, of a source pixel and the one it is taken from that lowers trust by the factor e."""
_SPREAD_TOLERANCE = 1 / 20
"""Disagreement of the candidates, as a share of white, that lowers trust by the factor e."""
_BLOCK = 32
"""Frames between two keyframes whose motion to the later one is kept at once."""


@dataclass(frozen=True, eq=False)
class Propagated:
    """Frames made of carried keyframes.

    Attributes:
        frames: uint8 (F, H, W, 3); at the keyframes, the keyframes themselves.
        confidence: float32 (F, H, W) in [0, 1], how far each pixel can be trusted: the product of the forward-backward
            agreement of the best flow, the likeness of the source there, and the agreement of the candidates. 1 at the
            keyframes.
    """

    frames: UInt8[np.ndarray, "F H W 3"]
    confidence: Float32[np.ndarray, "F H W"]


class Carried(NamedTuple):
    """One frame made of carried keyframes, uint8 (H, W, 3), and its confidence, float32 (H, W); see `Propagated`."""

    frame: np.ndarray
    confidence: np.ndarray


class _Candidate(NamedTuple):
    """One way to fill a frame: the keyframe, and the motion between that frame and it."""

    keyframe: int
    motions: Motions


class _Weighed(NamedTuple):
    """A candidate's motion to its keyframe, (H, W, 2), its trust and its weight, (H, W)."""

    keyframe: int
    there: np.ndarray
    trust: np.ndarray
    weight: np.ndarray


def propagation(
    frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, UInt8[np.ndarray, "H W 3"]]
) -> UInt8[np.ndarray, "F H W 3"]:
    """The frames of `propagate`, without the confidence."""
    return propagate(frames, keyframes).frames


def propagate(frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, UInt8[np.ndarray, "H W 3"]]) -> Propagated:
    """Carry the styled keyframes to every other frame along the source's optical flow.

    Each frame looks to the nearest keyframe before and after it, by two motions each: small steps put together, and one
    stroke. A pixel mixes these candidates by `exp(-e / tolerance - 60 p) / (1 + d)`: e is the forward-backward error
    of the flow, p the colour difference of the *source* along it (both large behind an occlusion), d the distance in
    frames. One keyframe is enough; frames outside the first and last keyframe use the nearest one.

    Memory: four flows for each of 32 frames, and two for every 32 frames between two keyframes, at 512 pixels a side at
    most.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    return propagate_sets(frames, [keyframes])[0]


def propagate_sets(
    frames: UInt8[np.ndarray, "F H W 3"], sets: Sequence[Mapping[int, UInt8[np.ndarray, "H W 3"]]]
) -> list[Propagated]:
    """`propagate` for several sets of keyframes at the same indices, which share the motion: it takes the time.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        sets: styled images by pixel index, the same indices in each.

    Raises:
        KeyframeError: as for `propagate`, or sets that differ in their indices.
    """
    made = [Propagated(np.empty_like(frames), np.empty(frames.shape[:3], np.float32)) for _ in sets]
    for i, parts in carry(frames, sets):
        for one, part in zip(made, parts, strict=True):
            one.frames[i], one.confidence[i] = part
    return made


def carry(
    frames: UInt8[np.ndarray, "F H W 3"], sets: Sequence[Mapping[int, UInt8[np.ndarray, "H W 3"]]]
) -> Iterator[tuple[int, list[Carried]]]:
    """`propagate_sets` a frame at a time, so that a clip of any length needs the memory of a few frames.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        sets: styled images by pixel index, the same indices in each.

    Raises:
        KeyframeError: as for `propagate_sets`, at once.

    Returns:
        Each index with its frame of every set: those before the first keyframe from the last to the first, then all
        others in order.
    """
    checked = [checked_keyframes(frames, keyframes) for keyframes in sets]
    keys = list(checked[0])
    if any(list(other) != keys for other in checked):
        raise KeyframeError(f"Sets of keyframes share their indices; the first has {keys}. Propagate others apart.")
    return _carried(frames, checked)


def _carried(
    frames: UInt8[np.ndarray, "F H W 3"], sets: Sequence[Mapping[int, UInt8[np.ndarray, "H W 3"]]]
) -> Iterator[tuple[int, list[Carried]]]:
    motion = Motion(frames)
    for before, after in pairwise([None, *sets[0], None]):
        if before is not None:
            sure = np.ones(frames.shape[1:3], np.float32)
            yield before, [Carried(images[before], sure) for images in sets]
        for i, candidates in _stretch(motion, len(frames), before, after):
            known = [_weigh(frames, motion, i, candidate) for candidate in candidates]
            yield i, [_mix(images, known) for images in sets]


def _stretch(
    motion: Motion, num_frames: int, before: int | None, after: int | None
) -> Iterator[tuple[int, list[_Candidate]]]:
    """The frames between two neighbouring keyframes (or a keyframe and the end), each with its candidates."""
    if before is None and after is not None:
        yield from _end(motion, after, -1)
    elif before is not None and after is None:
        yield from _end(motion, before, num_frames)
    elif before is not None and after is not None:
        yield from _between(motion, before, after)


def _between(motion: Motion, before: int, after: int) -> Iterator[tuple[int, list[_Candidate]]]:
    """The frames between two keyframes, in order; motion to the later one is measured against it, a block at a time.

    A first walk back leaves a mark at the end of each block but the last, from which the block is walked again.
    """
    starts = range(before + 1, after, _BLOCK)
    marks = {}
    if len(starts) > 1:
        for i, motions in motion.walk(after, before):
            motion.forget()
            if i in starts[1:]:
                marks[i] = motions
    ahead = motion.walk(before, after)
    for start in starts:
        stop = start + _BLOCK
        known = (stop, marks.pop(stop)) if stop in marks else None
        back = dict(motion.walk(after, start - 1, known))
        for i, motions in islice(ahead, len(back)):
            chained = [_Candidate(before, motions), _Candidate(after, back.pop(i))]
            yield i, chained + _direct(motion, i, [before, after])
    motion.forget()


def _end(motion: Motion, keyframe: int, stop: int) -> Iterator[tuple[int, list[_Candidate]]]:
    """The frames from the first or last keyframe to an end of the clip; no flow waits for a walk the other way."""
    for i, motions in motion.walk(keyframe, stop):
        motion.forget()
        yield i, [_Candidate(keyframe, motions), *_direct(motion, i, [keyframe])]


def _direct(motion: Motion, i: int, keyframes: Iterable[int]) -> list[_Candidate]:
    """The candidates of a frame that are measured at one stroke; a neighbour's small step is one already."""
    return [_Candidate(k, motion.direct(i, k)) for k in keyframes if abs(i - k) > 1]


def _weigh(frames: np.ndarray, motion: Motion, i: int, candidate: _Candidate) -> _Weighed:
    """How far frame `i` can be taken from a keyframe along a motion, whatever is painted there."""
    index, motions = candidate
    there, back = motion.full(motions.there), motion.full(motions.back)
    error = np.linalg.norm(there + sample(back, there), axis=2) / motion.tolerance
    unlike = np.abs(sample(frames[index].astype(np.float32), there) - frames[i]).mean(axis=2) / 255
    trust = np.exp(-error - unlike / _COLOUR_TOLERANCE)
    # The floor leaves a plain average where no candidate can be trusted.
    return _Weighed(index, there, trust, trust / (1 + abs(i - index)) + np.float32(1e-6))


def _mix(keys: Mapping[int, np.ndarray], known: list[_Weighed]) -> Carried:
    """A frame and its confidence, from all candidates."""
    share = np.stack([w.weight for w in known]) / np.sum([w.weight for w in known], axis=0)
    colours = [sample(keys[w.keyframe].astype(np.float32), w.there) for w in known]
    mixed = np.einsum("nhw,nhwc->hwc", share, np.stack(colours))
    spread = sum(w * np.abs(c - mixed).mean(axis=2) for w, c in zip(share, colours, strict=True)) / 255
    trust = np.max([w.trust for w in known], axis=0) * np.exp(-spread / _SPREAD_TOLERANCE)
    return Carried(np.rint(mixed).clip(0, 255).astype(np.uint8), trust.astype(np.float32))
