"""How near an edit comes to the exact one, and the benchmark's own means: what lesson 06 compares."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flowedit.lessons import material
from flowedit.metrics import edge_agreement, psnr

FILE = Path(__file__).parent / "recorded" / "quality.json"
UNSEEN = FILE.with_name("unseen.json")
EIGHT = ("source", "colour map", "propagation", "estimate", "method kappa 0", "method", "default", "ceiling")
"""The rows that say what each part is worth."""
UNSEEN_AT = (0, 16)
"""Keyframes of the clip that no lesson shows."""
FAR = 4  # frames from the nearest keyframe


class Row(NamedTuple):
    """One row of the benchmark, without plain changes of colour, in dB: mean, and both ends of its 95 % interval."""

    far: tuple[float, float, float]  # PSNR far from the keyframes
    key: tuple[float, float, float]  # PSNR at them
    gain: tuple[float, float, float]  # of the default over this row, scene by scene


def score(clip: material.LessonClip, keyframes: Sequence[int], edited: np.ndarray) -> dict[str, float]:
    """The figures of an edit, uint8 (F, H, W, 3), with these keyframes, against the clip's exact one.

    `psnr_key` and `psnr_far` are in dB, each frame at most 40; `flicker` is the mean change from frame to frame over
    that of the exact edit; `edges` the agreement with the source's.
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


def unseen() -> material.LessonClip:
    """A clip that no lesson shows, for exercise 6.1."""
    return material.clip(17, "comic", frames=17)


def unseen_rows() -> dict[str, float]:
    """What each of `EIGHT` reaches on the unseen clip with keyframes of an unsteady hand, in dB far from them."""
    return json.loads(UNSEEN.read_text(encoding="utf-8"))
