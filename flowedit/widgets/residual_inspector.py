"""What each step saw at each keyframe, as heat map and lines."""

import traitlets

from flowedit.show.display import figure_tag, table_tag
from flowedit.trace import READINGS, Trace
from flowedit.widgets._base import FlowWidget, plain
from flowedit.widgets.export import script, style


class ResidualInspector(FlowWidget):
    """The readings of a `Trace`.

    Keys on the heat map: arrows move the selected cell, Home and End go to the first and last step. A click, or a key,
    sets `index` to the keyframe's pixel frame: link it to a `FrameScrubber` with
    `ipywidgets.jslink((inspector, "index"), (scrubber, "index"))`.

    Args:
        trace: a run, or the part of it done so far.

    Attributes:
        trace: the run as plain values.
        reading: one of `flowedit.trace.READINGS`.
        view: "heat" or "lines".
        step: position of the selected step.
        index: pixel frame of the selected keyframe.
    """

    _esm = script("chart", "residual_inspector")
    _css = style("residual_inspector")

    trace = traitlets.Dict().tag(sync=True)
    reading = traitlets.Enum(READINGS, "gap_norm").tag(sync=True)
    view = traitlets.Enum(("heat", "lines"), "heat").tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)

    def __init__(self, trace: Trace, **traits: object) -> None:
        self._trace = trace
        first = trace.keyframes[0] if trace.keyframes else 0
        defaults = {"index": first, "step": max(len(trace.steps) - 1, 0), "heading": "Residuals per step and keyframe"}
        super().__init__(trace=plain(trace.to_dict()), **{**defaults, **traits})

    def _still(self) -> str:
        if not self._trace.array(self.reading).size:
            return "<p>No step at any keyframe was recorded.</p>"
        picture = figure_tag(self._trace.plot(), "Gap, residual and velocity difference per keyframe, step by step")
        steps = self._trace.steps[:: max(1, len(self._trace.steps) // 10)]
        columns = ("step", "sigma", *(f"keyframe {i}" for i in self._trace.keyframes))
        rows = [(s.step, float(s.sigma), *map(float, getattr(s, self.reading))) for s in steps]
        return picture + table_tag(f"{self.reading} at {len(steps)} of {len(self._trace.steps)} steps", columns, rows)
