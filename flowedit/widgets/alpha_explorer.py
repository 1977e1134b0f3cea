"""Runs of one edit over alpha: frames, metrics and residual curves change at once, and new values can be computed."""

from collections.abc import Callable, Generator, Mapping, Sequence
from inspect import isgeneratorfunction

import numpy as np
import traitlets

from flowedit.errors import WidgetError
from flowedit.show.display import picture_tag, spread, table_tag
from flowedit.trace import READINGS, Trace
from flowedit.widgets._base import plain
from flowedit.widgets._jobs import JobWidget
from flowedit.widgets._sprites import check_same_shape, contact_sheet, encode_clips, room_beside
from flowedit.widgets.export import script, style

MAX_RUNS = 48

Run = tuple[float, np.ndarray, Trace, Mapping[str, float]]
"""`(alpha, frames, trace, metrics)`."""


class AlphaExplorer(JobWidget):
    """Runs over alpha that the reader moves over without a kernel.

    Args:
        runs: at least one; frames of all have one shape, uint8 (F, H, W, 3).
        source: the clip before the edit, shown beside.
        compute: a generator function, called with a new alpha in a thread: it yields `(done, total)` and returns a
            run's tuple. A cancel stops it at its next yield.

    Attributes:
        runs: as encoded for the page, by rising alpha; `add` adds to them.
        alpha: the value shown (the nearest run).
        index: pixel frame shown.
        reading: which reading the curves draw, one of `flowedit.trace.READINGS`.

    Raises:
        WidgetError: no run, too many, clips that differ in shape, or a `compute` that nothing could stop.
    """

    _esm = script("save", "player", "chart", "job", "alpha_explorer")
    _css = style("alpha_explorer")

    runs = traitlets.List().tag(sync=True)
    source = traitlets.Dict().tag(sync=True)
    fps = traitlets.Float(16.0).tag(sync=True)
    alpha = traitlets.Float(0.0).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    reading = traitlets.Enum(READINGS, "gap_norm").tag(sync=True)
    can_compute = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        source: np.ndarray | None = None,
        compute: Callable[[float], Generator[object, None, Run]] | None = None,
        **traits: object,
    ) -> None:
        if compute is not None and not isgeneratorfunction(compute):
            raise WidgetError(
                f"compute is {getattr(compute, '__name__', compute)!r}, which never yields, so nothing could stop it. "
                "Pass a generator function that yields (done, total) after each step and returns the run."
            )
        self._compute = compute
        self._source = source
        self._kept: list[Run] = []
        defaults = {"alpha": float(runs[len(runs) // 2][0]) if runs else 0.0, "heading": "What alpha changes"}
        super().__init__(can_compute=compute is not None, **{**defaults, **traits})
        self._take(runs)

    def add(self, run: Run) -> None:
        """Join a run to the others, replacing one of the same alpha, and show it."""
        with self.hold_sync():  # the page hears of the run and of its alpha at once
            self._take([*(old for old in self._kept if old[0] != run[0]), run])
            self.alpha = float(run[0])

    def _asked(self, content: dict) -> None:
        work = self._compute
        if content.get("type") == "compute" and work is not None:
            self.worker.start(lambda: work(float(content["alpha"])), self.add)

    def _take(self, runs: Sequence[Run]) -> None:
        """Encode all runs within the widget's size."""
        if not 1 <= len(runs) <= MAX_RUNS:
            raise WidgetError(f"Got {len(runs)} runs; this widget shows 1 to {MAX_RUNS}. Pick the ones to compare.")
        self._kept = sorted(runs, key=lambda run: run[0])
        clips = {f"alpha {run[0]:g}": np.asarray(run[1]) for run in self._kept}
        clips |= {} if self._source is None else {"source": self._source}
        check_same_shape(clips)
        words = [
            {"alpha": float(alpha), "metrics": plain(dict(metrics)), "trace": plain(trace.to_dict())}
            for alpha, _, trace, metrics in self._kept
        ]
        encoded = encode_clips(clips, room=room_beside(words))
        self.runs = [{**said, "clip": clip} for said, clip in zip(words, encoded, strict=False)]
        self.source = {} if self._source is None else encoded[-1]

    def _still(self) -> str:
        runs = self._kept[:8]
        shown = spread(len(runs[0][1]), runs[0][2].keyframes, 5)
        words = f"Frames {', '.join(map(str, shown))} (across) at alpha {', '.join(f'{r[0]:g}' for r in runs)} (down)."
        rows = np.concatenate([contact_sheet(np.asarray(run[1])[shown], height=72) for run in runs])
        names = list(dict.fromkeys(name for run in self._kept for name in run[3]))
        values = [(float(r[0]), *(r[3].get(n) for n in names), r[2].final_gap()) for r in self._kept]
        return picture_tag(rows, words, max_side=800) + table_tag("Every run", ("alpha", *names, "final gap"), values)
