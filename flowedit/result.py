"""`EditResult`: an edited clip and everything that the run recorded about it."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowedit.config import EditSettings
from flowedit.keyframes import Keyframe
from flowedit.trace import Trace


@dataclass(frozen=True, kw_only=True, eq=False)
class EditResult:
    """An edited clip with its source, keyframes, settings, trace and timings.

    Attributes:
        frames: the edited clip, uint8 (F, H, W, 3).
        source: the source clip, same shape.
        keyframes: the styled keyframes.
        settings: the settings of the edit.
        model: name of the model.
        trace: the readings of every step; empty for a classical method.
        seconds: wall-clock time of each stage, by name.
    """

    frames: np.ndarray
    source: np.ndarray
    keyframes: tuple[Keyframe, ...]
    settings: EditSettings
    model: str
    trace: Trace
    seconds: dict[str, float] = field(default_factory=dict)

    def manifest(self) -> dict[str, Any]:
        """The run as plain numbers and strings: settings, keyframes, timings, and the last readings."""
        num_frames, height, width = self.frames.shape[:3]
        final_gap = self.trace.final_gap()
        return {
            "model": self.model,
            "num_frames": num_frames,
            "height": height,
            "width": width,
            "keyframes": [keyframe.index for keyframe in self.keyframes],
            "settings": self.settings.to_dict(),
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "final_gap": None if math.isnan(final_gap) else final_gap,
        }
