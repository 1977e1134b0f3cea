"""What one edit of one case is worth: its figures against the known answer."""

import math

import numpy as np

from benchmarks.cases import Case
from benchmarks.measures import ssim, warp_error
from flowedit.metrics import colour_drift, edge_agreement, keyframe_flicker, psnr

FAR = 4
"""Frames from the nearest keyframe at which a frame counts as far."""
_LEAST_HIDDEN = 200
"""Hidden pixels under which a clip has too few to tell."""


def figures_of(case: Case, edited: np.ndarray) -> dict[str, float]:
    """The figures of an edit; NaN where a world cannot tell.

    Args:
        case: the case, with its truth.
        edited: frames, uint8 (F, H, W, 3).

    Returns:
        `psnr_key`, `psnr_far`, `psnr_near` and `psnr_hidden` in dB against the truth (8-bit, each frame capped at 40);
        `ssim_key`, `ssim_far` and `ssim_near`; `flicker` relative to the truth's own; `drift` in 8-bit levels; `edges`,
        the agreement with the source's, in [0, 1]; `warp_error` in 8-bit levels under the true flow.
    """
    keys = [keyframe.index for keyframe in case.keyframes]
    away = np.asarray([min(abs(i - k) for k in keys) for i in range(len(edited))])
    places = {"key": away == 0, "near": (away > 0) & (away < FAR), "far": away >= FAR}
    kinds = {"psnr": psnr(edited, case.truth), "ssim": ssim(edited, case.truth)}
    return {
        **{f"{kind}_{place}": _mean(kinds[kind][where]) for kind in kinds for place, where in places.items()},
        "psnr_hidden": _psnr_where(edited, case.truth, case.hidden),
        "flicker": float(keyframe_flicker(edited, case.truth, keys)),
        "drift": float(colour_drift(edited, case.truth)),
        "edges": float(edge_agreement(edited, case.frames)),
        "warp_error": math.nan
        if case.flow is None or case.visible is None
        else warp_error(edited, case.flow, case.visible),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _psnr_where(edited: np.ndarray, truth: np.ndarray, where: np.ndarray | None) -> float:
    """PSNR in dB over the marked pixels of all frames together, capped at 40."""
    if where is None or where.sum() < _LEAST_HIDDEN:
        return math.nan
    error = np.mean(np.square(edited[where].astype(np.float64) - truth[where]))
    return min(40.0, 10 * math.log10(255**2 / max(error, 1e-9)))
