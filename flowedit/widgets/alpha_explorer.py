"""Runs of one edit over alpha: frames, metrics and residual curves change at once, and new values can be computed."""

import html
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import traitlets

from flowedit.display import spread
from flowedit.errors import WidgetError
from flowedit.trace import READINGS, Trace
from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget, Table, plain
from flowedit.widgets._jobs import IDLE, Job
from flowedit.widgets._sprites import (
    CLIP_BYTES,
    check_same_shape,
    contact_sheet,
    encode_clip,
    encode_image,
    room_beside,
)

MAX_RUNS = 48

Run = tuple[float, np.ndarray, Trace, Mapping[str, float]] | tuple[float, np.ndarray, Trace, Mapping, Mapping]
"""`(alpha, frames, trace, metrics)`, and optionally a mapping of other settings such as `{"strength": 0.8}`."""


class AlphaExplorer(FlowWidget):
    """A grid of runs that the reader moves over without a kernel.

    Attributes:
        runs: the grid, as encoded for the page; `add` appends to it.
        alpha: the value shown (the nearest run at the other settings chosen).
        other: the other settings chosen.
        index: pixel frame shown.
        reading: which reading the curves draw, one of `flowedit.trace.READINGS`.
        job: state of the computation.
        loop: first and last frame of the range that plays; empty for the whole clip.
        speed: playback speed.
    """

    _esm = script("player", "chart", "job", "alpha_explorer")
    _css = style("player", "chart", "job", "frame_scrubber", "alpha_explorer")

    runs = traitlets.List().tag(sync=True)
    source = traitlets.Dict().tag(sync=True)
    fps = traitlets.Float(16.0).tag(sync=True)
    alpha = traitlets.Float(0.0).tag(sync=True)
    other = traitlets.Dict().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    reading = traitlets.Enum(READINGS, "gap_norm").tag(sync=True)
    job = traitlets.Dict(IDLE).tag(sync=True)
    can_compute = traitlets.Bool(default_value=False).tag(sync=True)
    loop = traitlets.List(traitlets.Int()).tag(sync=True)
    speed = traitlets.Float(1.0).tag(sync=True)

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        source: np.ndarray | None = None,
        compute: Callable[..., object] | None = None,
        fps: float = 16.0,
        **traits: object,
    ) -> None:
        """Show `runs`.

        Args:
            runs: at least one; frames of all have one shape, uint8 (F, H, W, 3).
            source: the clip before the edit, shown beside.
            compute: called as `compute(alpha, **other)` in a thread when the reader asks for a value that is not in the
                grid; returns a run's tuple, or is a generator that yields `(done, total)` and returns it. Only a
                generator stops at once when cancelled.
            fps: frames per second.
            **traits: any attribute above, and `heading` and `note`.

        Raises:
            WidgetError: no run, too many, or clips that differ in shape.
        """
        _check(runs, source)
        self._budget = _budget_of(runs, source)
        self._compute = compute
        self._kept = list(runs)
        self._source = source
        self.worker = Job(self._set_job)
        start = runs[len(runs) // 2]
        defaults = {"alpha": float(start[0]), "other": _other(start), "heading": "What alpha changes"}
        super().__init__(
            runs=[self._encoded(run) for run in runs],
            source=encode_clip(source, self._budget) if source is not None else {},
            fps=float(fps),
            can_compute=compute is not None,
            **{**defaults, **traits},
        )
        self.on_msg(self._answer)

    @classmethod
    def example(cls) -> "AlphaExplorer":
        """The correction on a linear field at five rates; the pictures keep what each run's gap leaves."""
        from flowedit.widgets.demo import alpha_run, demo_clip

        source, _ = demo_clip()
        return cls(
            [alpha_run(alpha) for alpha in (0.0, 1.0, 3.0, 10.0, 30.0)],
            source=source,
            compute=alpha_run,
            alpha=3.0,
            index=16,
            heading="What alpha changes, on a linear field",
            note="closed form",
        )

    def add(self, run: Run) -> None:
        """Join a run to the grid, replacing one at the same settings, and show it.

        Where the clips no longer fit, all are encoded anew with a third to spare, so that this is seldom needed.
        """
        key = (run[0], _other(run))
        kept = [i for i, old in enumerate(self._kept) if (old[0], _other(old)) != key]
        grid = [*(self._kept[i] for i in kept), run]
        _check(grid, self._source)
        self._kept = grid
        budget = _budget_of(grid, self._source)
        with self.hold_sync():  # the page hears of the run and of its settings at once
            if budget < self._budget:
                self._budget = 2 * budget // 3
                if self._source is not None:
                    self.source = encode_clip(self._source, self._budget)
                self.runs = [self._encoded(one) for one in grid]
            else:
                self.runs = [*(self.runs[i] for i in kept), self._encoded(run)]
            self.other = _other(run)
            self.alpha = float(run[0])

    def compute(self, alpha: float, **other: object) -> None:
        """Start computing a value, as the page's button does; watch `job`."""
        if self._compute is None:
            raise WidgetError("This explorer was given no compute= callable; pass one, or add(...) a finished run.")
        work = self._compute
        self.worker.start(lambda: work(alpha, **other), self.add)

    def _answer(self, _widget: object, content: dict, _buffers: object) -> None:
        if content.get("type") == "cancel":
            self.worker.cancel()
        elif content.get("type") == "compute" and self._compute is not None:
            self.compute(float(content["alpha"]), **content.get("other", {}))

    def _set_job(self, status: dict) -> None:
        self.job = status

    def _encoded(self, run: Run) -> dict:
        return {**_words(run), "clip": encode_clip(np.asarray(run[1]), self._budget)}

    def _picture(self) -> str:
        runs = sorted(self._kept, key=lambda run: run[0])[:8]
        shown = spread(len(runs[0][1]), runs[0][2].keyframes, 5)
        words = f"Frames {', '.join(map(str, shown))} (across) at alpha {', '.join(f'{r[0]:g}' for r in runs)} (down)."
        rows = [contact_sheet(np.asarray(run[1])[shown], height=72) for run in runs]
        return f'<img alt="{html.escape(words)}" src="{encode_image(np.concatenate(rows), max_side=800)}">'

    def _table(self) -> Table:
        names = list(dict.fromkeys(name for run in self._kept for name in run[3]))
        others = list(dict.fromkeys(name for run in self._kept for name in _other(run)))
        rows = [
            (float(r[0]), *(_other(r).get(n) for n in others), *(r[3].get(n) for n in names), r[2].final_gap())
            for r in sorted(self._kept, key=lambda run: run[0])
        ]
        return Table("Every run", ("alpha", *others, *names, "final gap"), rows)


def _words(run: Run) -> dict:
    """All of a run but its frames, as JSON values."""
    alpha, _, trace, metrics = run[:4]
    return {
        "alpha": float(alpha),
        "other": plain(_other(run)),
        "metrics": plain(dict(metrics)),
        "trace": plain(trace.to_dict()),
    }


def _budget_of(runs: Sequence[Run], source: np.ndarray | None) -> int:
    """Bytes of each clip, so that all of them and the traces fit into the widget."""
    room = room_beside([_words(run) for run in runs])
    return min(CLIP_BYTES, room // (len(runs) + (source is not None)))


def _other(run: Run) -> dict:
    return dict(run[4]) if len(run) > 4 else {}


def _check(runs: Sequence[Run], source: np.ndarray | None) -> None:
    if not 1 <= len(runs) <= MAX_RUNS:
        raise WidgetError(f"Got {len(runs)} runs; this widget shows 1 to {MAX_RUNS}. Pick the ones to compare.")
    clips = {f"alpha {run[0]:g} {_other(run) or ''}": run[1] for run in runs}
    check_same_shape(clips if source is None else {"source": source, **clips})
