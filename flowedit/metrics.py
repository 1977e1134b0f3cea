"""Figures about edited frames: nearness to the truth, steadiness in time, faithfulness to the source's motion.

All take 8-bit frames, NumPy arrays in, and say in which unit and range their answer is.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from flowedit.errors import VideoShapeError
from flowedit.frames import group_of, slot_of

Frames = UInt8[np.ndarray, "F H W 3"]

CAP_DB = 40.0
"""PSNR at which a frame counts as perfect, so that a few exact frames do not hide many bad ones."""
FLASH = 6.0
"""Levels by which a frame's colour may depart from that of the frames around it."""

_QUANTISATION = 0.5
"""Frame difference, in 8-bit levels, that rounding alone can make; keeps still clips from dividing by zero."""
_EDGE_SHARE = 0.1
"""Share of a frame's pixels, those of the steepest brightness, that count as its edges."""


def psnr(a: Frames, b: Frames, cap: float = CAP_DB) -> Float[np.ndarray, " F"]:
    """Peak signal-to-noise ratio of every frame in dB, `10 log10(255^2 / mean((a - b)^2))`, in [0, cap].

    >>> white, black = np.full((1, 4, 4, 3), 255, np.uint8), np.zeros((1, 4, 4, 3), np.uint8)
    >>> psnr(white, black).tolist(), psnr(white, white).tolist()
    ([0.0], [40.0])
    """
    check_alike(a, b)
    error = np.asarray([np.mean(np.square(x.astype(np.float64) - y)) for x, y in zip(a, b, strict=True)])
    return np.minimum(cap, 10 * np.log10(255.0**2 / np.maximum(error, 1e-9)))


def keyframe_flicker(frames: Frames, truth: Frames, keyframes: Sequence[int]) -> float:
    """How much more the picture jumps around keyframes than it should, as a ratio: 1 = no more than the truth.

    With `D(i) = mean |frame[i] - frame[i-1]|` in 8-bit levels, a clip's spike is the mean of D where the latent slot of
    a keyframe begins or ends and where the keyframe itself does, over the mean of D everywhere else. The figure is the
    spike of `frames` over that of `truth`: contrast and overall noise cancel, so the source can stand in for an
    unknown truth. Half a level, what rounding can cause, is added to every mean. NaN for a clip of a single frame or
    without keyframes.
    """
    check_alike(frames, truth)
    spikes = [_spike(_differences(clip), keyframes) for clip in (frames, truth)]
    return float(spikes[0] / spikes[1])


def colour_drift(frames: Frames, reference: Frames) -> float:
    """How far the mean colour wanders over the clip against a reference's, in 8-bit levels; a constant offset is 0.

    With `d(i)` the mean colour of frame i minus the reference's, the root mean square of `d(i) - mean(d)` over frames
    and channels.
    """
    offset = colour_offsets(frames, reference)
    return float(np.sqrt(np.mean(np.square(offset - offset.mean(axis=0)))))


def colour_offsets(frames: Frames, reference: Frames) -> Float[np.ndarray, "F 3"]:
    """Mean colour of each frame minus the reference's, in 8-bit levels: level over time where nothing drifts."""
    check_alike(frames, reference)
    return np.asarray([np.subtract(cv2.mean(x), cv2.mean(y))[:3] for x, y in zip(frames, reference, strict=True)])


def flashes(offsets: Float[np.ndarray, "F 3"]) -> list[int]:
    """Frames whose colour departs from that of the frames around them by more than `FLASH` levels, in any channel."""
    padded = np.pad(offsets, ((3, 3), (0, 0)), mode="edge")
    usual = np.median([padded[k : k + len(offsets)] for k in range(7)], axis=0)
    return np.flatnonzero(np.abs(offsets - usual).max(axis=1) > FLASH).tolist()


def edge_agreement(frames: Frames, source: Frames) -> float:
    """How well the edges of an edit lie on those of its source, whatever their colours: 1 = all of them.

    The edges of a frame are its steepest tenth of pixels (Sobel gradient of the smoothed brightness). The figure is the
    F1 score of the two edge maps with one pixel of tolerance, averaged over the frames.
    """
    check_alike(frames, source)
    return float(np.mean([_edge_f1(_edges(x), _edges(y)) for x, y in zip(frames, source, strict=True)]))


def _differences(frames: Frames) -> Float[np.ndarray, " F"]:
    """Mean absolute difference of each frame to the one before it, in 8-bit levels; the first entry is unused (0)."""
    steps = [np.mean(cv2.mean(cv2.absdiff(a, b))[:3]) for a, b in pairwise(frames)]
    return np.asarray([0.0, *steps])


def _spike(differences: Float[np.ndarray, " F"], keyframes: Sequence[int]) -> float:
    groups = [(group_of(slot_of(index)), index) for index in keyframes]
    begins = {frame for group, index in groups for frame in (group.start, group.stop, index, index + 1)}
    borders, frames = np.isin(np.arange(len(differences)), sorted(begins)), np.arange(len(differences)) > 0
    if not (borders & frames).any():
        return float("nan")
    base = differences[frames & ~borders].mean() if (frames & ~borders).any() else 0.0
    return float((differences[borders & frames].mean() + _QUANTISATION) / (base + _QUANTISATION))


def _edges(frame: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    steepness = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    # A gradient below one level (a Sobel kernel sums to 8) is rounding, not an edge.
    rank = math.ceil((1 - _EDGE_SHARE) * (steepness.size - 1))
    return (steepness >= np.partition(steepness, rank, axis=None)[rank]) & (steepness > 8)


def _edge_f1(a: Bool[np.ndarray, "H W"], b: Bool[np.ndarray, "H W"]) -> float:
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    near = [cv2.dilate(edges.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) for edges in (a, b)]
    precision, recall = near[1][a].mean(), near[0][b].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def check_alike(a: np.ndarray, b: np.ndarray) -> None:
    """Refuse clips whose frames cannot be compared one by one."""
    if a.shape != b.shape or a.ndim != 4:
        raise VideoShapeError(f"Frames of shapes {a.shape} and {b.shape} cannot be compared; both are (F, H, W, 3).")
