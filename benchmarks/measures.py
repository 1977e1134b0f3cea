"""What one edit of one case is worth: its figures against the known answer."""

import math
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from skimage.metrics import structural_similarity

from benchmarks.cases import Case
from flowedit.metrics import Frames, check_alike, keyframe_flicker, psnr

FAR = 4
"""Frames from the nearest keyframe at which a frame counts as far."""
_LEAST_HIDDEN = 2000
"""Hidden pixels under which a clip has too few to tell."""


def figures_of(case: Case, edited: Frames) -> dict[str, float]:
    """The figures of an edit; NaN where a world cannot tell.

    Args:
        case: the case, with its truth.
        edited: frames, uint8 (F, H, W, 3).

    Returns:
        `psnr_key`, `psnr_far`, `psnr_near` and `psnr_hidden` in dB against the truth (8-bit, each frame capped at 40);
        of far frames `ssim`, `sharpness` and `temporal`; `flicker` at keyframes relative to the truth's own.
    """
    keys = [keyframe.index for keyframe in case.keyframes]
    away = np.asarray([min(abs(i - k) for k in keys) for i in range(len(edited))])
    places = {"key": away == 0, "near": (away > 0) & (away < FAR), "far": away >= FAR}
    near, far = psnr(edited, case.truth), np.flatnonzero(places["far"])
    return {
        **{f"psnr_{place}": float(near[where].mean()) if where.any() else math.nan for place, where in places.items()},
        "psnr_hidden": _psnr_where(edited, case.truth, case.hidden),
        "ssim": float(ssim(edited[far], case.truth[far]).mean()),
        "sharpness": sharpness(edited[far]) / sharpness(case.truth[far]),
        "temporal": temporal_error(edited, case.truth, far),
        "flicker": keyframe_flicker(edited, case.truth, keys),
    }


def ssim(a: Frames, b: Frames) -> Float[np.ndarray, " F"]:
    """Structural similarity of every frame's brightness (Wang et al. 2004: 11-pixel Gaussian window), at most 1."""
    check_alike(a, b)
    window: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = ((_brightness(x), _brightness(y)) for x, y in zip(a, b, strict=True))
    return np.asarray([structural_similarity(x, y, data_range=255, **window) for x, y in pairs])


def sharpness(frames: Frames) -> float:
    """Mean square of the brightness's gradient, in squared levels a pixel: less where lines are soft."""
    grey = [_brightness(frame) for frame in frames]
    return float(np.mean([np.square(np.diff(g, axis=axis)).mean() for g in grey for axis in (0, 1)]))


def temporal_error(frames: Frames, truth: Frames, at: Iterable[int]) -> float:
    """How far the change from the frame before differs from the truth's, at some frames, root mean square in levels."""
    steps = [_step(frames, i) - _step(truth, i) for i in at if i > 0]
    return float(np.sqrt(np.mean([np.square(step).mean() for step in steps])))


def _step(frames: Frames, i: int) -> np.ndarray:
    return cv2.subtract(frames[i], frames[i - 1], dtype=cv2.CV_32F)


def _brightness(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _psnr_where(edited: np.ndarray, truth: np.ndarray, where: np.ndarray | None) -> float:
    """PSNR in dB over the marked pixels of all frames together, capped at 40."""
    if where is None or where.sum() < _LEAST_HIDDEN:
        return math.nan
    error = np.mean(np.square(edited[where].astype(np.float64) - truth[where]))
    return min(40.0, 10 * math.log10(255**2 / max(error, 1e-9)))
