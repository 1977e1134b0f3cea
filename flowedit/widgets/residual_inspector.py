"""What each step saw at each keyframe, as heat map, lines and table."""

import traitlets

from flowedit.errors import WidgetError
from flowedit.show.display import figure_tag, table_tag
from flowedit.trace import READINGS, Trace
from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget, plain

MAX_CELLS = 20_000


class ResidualInspector(FlowWidget):
    """The readings of a `Trace`.

    Keys on the heat map: arrows move the selected cell, Home and End go to the first and last step. A click, or a key,
    sets `index` to the keyframe's pixel frame: link it to a `FrameScrubber` with
    `ipywidgets.jslink((inspector, "index"), (scrubber, "index"))`.

    Attributes:
        trace: the run as plain values; assign `show(trace)`'s result of a longer run to follow it.
        reading: one of `flowedit.trace.READINGS`.
        scale: "linear" or "log".
        view: "heat", "lines" or "table".
        step: position of the selected step.
        index: pixel frame of the selected keyframe.
    """

    _esm = script("chart", "residual_inspector")
    _css = style("residual_inspector")

    trace = traitlets.Dict().tag(sync=True)
    reading = traitlets.Enum(READINGS, "gap_norm").tag(sync=True)
    scale = traitlets.Enum(("linear", "log"), "linear").tag(sync=True)
    view = traitlets.Enum(("heat", "lines", "table"), "heat").tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)

    def __init__(self, trace: Trace, **traits: object) -> None:
        """Show `trace`.

        Args:
            trace: a run, or the part of it done so far.
            **traits: any attribute above, and `heading` and `note`.

        Raises:
            WidgetError: more steps times keyframes than a page can draw.
        """
        self._trace = trace
        first = trace.keyframes[0] if trace.keyframes else 0
        defaults = {"index": first, "step": max(len(trace.steps) - 1, 0), "heading": "Residuals per step and keyframe"}
        super().__init__(trace=_values(trace), **{**defaults, **traits})

    def show(self, trace: Trace) -> None:
        """Draw another trace, or a longer one of the same run, in place."""
        self._trace = trace
        self.trace = _values(trace)

    def _still(self) -> str:
        if not self._trace.array(self.reading).size:
            return "<p>No step at any keyframe was recorded.</p>"
        picture = figure_tag(self._trace.plot(), "Gap, residual and velocity difference per keyframe, step by step")
        steps = self._trace.steps[:: max(1, len(self._trace.steps) // 10)]
        columns = ("step", "sigma", *(f"keyframe {i}" for i in self._trace.keyframes))
        rows = [(s.step, float(s.sigma), *map(float, getattr(s, self.reading))) for s in steps]
        return picture + table_tag(f"{self.reading} at {len(steps)} of {len(self._trace.steps)} steps", columns, rows)


def _values(trace: Trace) -> dict:
    cells = len(trace.steps) * len(trace.keyframes)
    if cells > MAX_CELLS:
        raise WidgetError(
            f"The trace has {len(trace.steps)} steps at {len(trace.keyframes)} keyframes, {cells} cells; a widget "
            f"draws at most {MAX_CELLS}. Pass fewer steps or keyframes."
        )
    return plain(trace.to_dict())
