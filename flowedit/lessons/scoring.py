"""How near an edit comes to the exact one, and the benchmark's own means: what lesson 06 compares."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flowedit.lessons.material import LessonClip
from flowedit.metrics import edge_agreement, psnr

FILE = Path(__file__).parent / "recorded" / "quality.json"
EIGHT = {
    "source": "source",
    "colour map": "colour map",
    "propagation": "propagation",
    "estimate": "estimate",
    "method without correction": "method kappa 0",
    "method": "method",
    "default": "default",
    "ceiling": "ceiling",
}
"""The rows that say what each part is worth, by their names in lesson 06."""
FAR = 4
"""Frames from the nearest keyframe at which a frame counts as far."""


class Row(NamedTuple):
    """One row of the benchmark, over its styles that are not a plain change of colours; mean, low and high in dB.

    Low and high bound the 95 % interval that resampling the scenes gives.
    """

    far: tuple[float, float, float]  # PSNR far from the keyframes
    key: tuple[float, float, float]  # PSNR at them
    gain: tuple[float, float, float]  # of the default over this row, scene by scene


def score(clip: LessonClip, keyframes: Sequence[int], edited: np.ndarray) -> dict[str, float]:
    """The figures of an edit against the exact one.

    Args:
        clip: the clip, with its exact edit.
        keyframes: pixel frames that were given.
        edited: uint8 (F, H, W, 3).

    Returns:
        `psnr_key` and `psnr_far` in dB, each frame at most 40; `flicker`, the mean change from frame to frame over that
        of the exact edit; `edges`, the agreement with the source's.
    """
    near = psnr(edited, clip.truth)
    away = np.array([min(abs(i - k) for k in keyframes) for i in range(len(edited))])
    return {
        "psnr_far": float(near[away >= FAR].mean()),
        "psnr_key": float(near[away == 0].mean()),
        "flicker": movement(edited) / movement(clip.truth),
        "edges": float(edge_agreement(edited, clip.frames)),
    }


def movement(frames: np.ndarray) -> float:
    """Mean change from frame to frame, in 8-bit levels."""
    return float(np.abs(np.diff(frames.astype(float), axis=0)).mean())


def recorded_rows() -> dict[str, dict[str, Row]]:
    """Every row of the recorded benchmark, under keyframes that are "exact" and that are "disagreeing"."""
    rows = json.loads(FILE.read_text(encoding="utf-8"))["rows"]
    return {name: {kind: Row(**row) for kind, row in kinds.items()} for name, kinds in rows.items()}
