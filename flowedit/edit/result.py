"""`EditResult`: an edited clip and everything that the run recorded about it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings
from flowedit.show.display import Displayed, facts_tag, spread
from flowedit.show.page import page, write_page
from flowedit.trace import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, eq=False)
class EditResult(Displayed):
    """An edited clip, uint8 (F, H, W, 3), with its source and all that the run recorded; a notebook shows frames of it.

    A run from files gives a large clip's source at the size that it is measured and shown at.

    The trace is empty for a classical method; `seconds` is the wall-clock time of each stage, by name.
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

    def plot(self) -> "Figure":
        """Frames of the source above the styled keyframes and the same frames of the edit, as a matplotlib figure."""
        from flowedit.show.figures import strip_figure

        styled = {keyframe.index: keyframe.image for keyframe in self.keyframes}
        shown = spread(len(self.frames), list(styled), most=5)
        rows = {
            "source": {i: self.source[i] for i in shown},
            "keyframes": {i: styled[i] for i in shown if i in styled},
            "edited": {i: self.frames[i] for i in shown},
        }
        return strip_figure({name: pictures for name, pictures in rows.items() if pictures}, shown)

    def to_html(self, path: str | Path | None = None) -> str:
        """A self-contained page of what a notebook shows, and of every setting; also written to `path`."""
        settings = facts_tag("Settings", self.settings.to_dict())
        return write_page(page(self._words(), self._body() + settings), path)

    def _words(self) -> str:
        num_frames, height, width = self.frames.shape[:3]
        return f"Edit of {num_frames} frames of {height}x{width} by {self.settings.method} on {self.model}"

    def _alternative(self) -> str:
        return "Source frames, styled keyframes and edited frames, one below the other"

    def _facts(self) -> str:
        facts = {
            "keyframes": [keyframe.index for keyframe in self.keyframes],
            "alpha": self.settings.alpha,
            "strength": self.settings.strength,
            "steps done": len(self.trace.steps),
            "final gap": self.trace.final_gap(),
            **{f"seconds, {name}": value for name, value in self.seconds.items()},
        }
        return facts_tag("The run", facts)
