"""Figures of the benchmark beside those of `flowedit.metrics`: similarity, motion under a true flow, intervals."""

from collections.abc import Iterable
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped
from skimage.metrics import structural_similarity

from flowedit.metrics import Frames, check_alike


def ssim(a: Frames, b: Frames) -> Float[np.ndarray, " F"]:
    """Structural similarity of every frame (Wang et al. 2004: 11-pixel Gaussian window, mean over channels).

    Sides are at least 11 pixels; the figures at most 1, which means equal.
    """
    check_alike(a, b)
    options = {"channel_axis": -1, "data_range": 255, "gaussian_weights": True, "use_sample_covariance": False}
    return np.asarray([structural_similarity(x, y, **options) for x, y in zip(a, b, strict=True)], dtype=np.float64)


def warp_error(frames: Frames, flow: Shaped[np.ndarray, "F1 H W 2"], visible: Bool[np.ndarray, "F1 H W"]) -> float:
    """Mean change in 8-bit levels of a scene point's colour from one frame to the next, where it can be seen in both.

    The truth's own figure, shading and resampling, is the floor to compare with; NaN where nothing is visible.

    Args:
        frames: uint8 (F, H, W, 3).
        flow: (F - 1, H, W, 2), where each pixel of frame i lies in frame i + 1: x then y, in pixels.
        visible: (F - 1, H, W) bool, whether it can be seen there.
    """
    if flow.shape != (len(frames) - 1, *frames.shape[1:3], 2) or visible.shape != flow.shape[:3]:
        raise ValueError(
            f"{frames.shape} frames need a flow (F - 1, H, W, 2) and a mask (F - 1, H, W); "
            f"got {flow.shape} and {visible.shape}."
        )
    total, count = 0.0, 0
    for i, (positions, seen) in enumerate(zip(flow.astype(np.float32), visible, strict=True)):
        after, (x, y) = frames[i + 1].astype(np.float32), np.ascontiguousarray(np.moveaxis(positions, -1, 0))
        there = cv2.remap(after, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        total += float(np.abs(there - frames[i])[seen].sum(dtype=np.float64))
        count += 3 * int(seen.sum())
    return total / count if count else float("nan")


def bootstrap_ci(
    values: Iterable[float] | np.ndarray, seed: int, level: float = 0.95, resamples: int = 10_000
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the mean (Efron 1979), which holds `level` of the resampled means.

    >>> bootstrap_ci([2.0, 2.0, 2.0], seed=0)
    (2.0, 2.0)
    """
    sample = np.asarray(list(values), dtype=np.float64)
    if not sample.size or not np.isfinite(sample).all() or not 0 < level < 1:
        raise ValueError(f"An interval needs finite values and a level in (0, 1); got {sample} and {level}.")
    means = sample[_drawn(len(sample), seed, resamples)].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=8)
def _drawn(count: int, seed: int, resamples: int) -> np.ndarray:
    """Which of so many figures each resample holds, (resamples, count): a table's intervals all ask for a few sizes."""
    return np.random.default_rng(seed).integers(0, count, (resamples, count))
