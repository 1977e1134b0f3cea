"""What one step, and one run, recorded: the four readings of every keyframe at every step."""

import csv
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit.errors import SettingError
from flowedit.show.display import Displayed, table_tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READINGS = ("r_k_norm", "v_diff_norm", "delta_v_norm", "gap_norm")
"""As `trace.csv` calls them; `delta_v_norm` is the name in circulation for `z_diff_norm`."""
FIELDS = ("r_k_norm", "v_diff_norm", "z_diff_norm", "gap_norm")
"""The same as `StepTrace` holds them."""
PANELS = {
    "gap_norm": "gap to the keyframe (relative)",
    "r_k_norm": "residual r_k (rms)",
    "v_diff_norm": "velocity difference (rms)",
}
"""Readings that a reader is shown, and what they are called there."""


@dataclass(frozen=True, kw_only=True)
class StepTrace:
    """The readings of one Euler step; every tuple has one value per keyframe, root mean square over the slot.

    Attributes:
        step: index of the step, from 0.
        sigma: noise level at which the velocities were taken, in (0, 1].
        sigma_next: noise level after the step, in [0, 1).
        kappa: share of the residual that the correction took away on the main branch, in [0, 1) when exact.
        r_k_norm: residual before the correction: the gap this step would have left.
        v_diff_norm: difference of the two branches' velocities.
        z_diff_norm: difference of the two branches' latents before the step.
        gap_norm: gap after the step, divided by the rms of `z_src[slots] - z_key`: 1 = nothing carried over, 0 = there;
            NaN for an unstyled keyframe whose latent is the source's own, where there is nothing to divide by.
        seconds: wall-clock time of the step.
    """

    step: int
    sigma: float
    sigma_next: float
    kappa: float
    r_k_norm: tuple[float, ...]
    v_diff_norm: tuple[float, ...]
    z_diff_norm: tuple[float, ...]
    gap_norm: tuple[float, ...]
    seconds: float = 0.0

    @property
    def delta_v_norm(self) -> tuple[float, ...]:
        """`z_diff_norm` under the name in circulation."""
        return self.z_diff_norm

    def line(self) -> str:
        """One line for a log: means over the keyframes.

        >>> StepTrace(step=10, sigma=0.9, sigma_next=0.8, kappa=0.5, r_k_norm=(0.1,), v_diff_norm=(0.2,),
        ...           z_diff_norm=(0.3,), gap_norm=(0.4,)).line()
        'Step 10: r_k=0.1000, v_diff=0.2000, Δv=0.3000, gap=0.4000'
        """
        known = ([value for value in getattr(self, name) if not math.isnan(value)] for name in READINGS)
        r_k, v_diff, delta_v, gap = (float(np.mean(values)) if values else math.nan for values in known)
        return f"Step {self.step}: r_k={r_k:.4f}, v_diff={v_diff:.4f}, Δv={delta_v:.4f}, gap={gap:.4f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists under the names of `READINGS`; NaN, which JSON lacks, is None."""
        own = {name: value for name, value in vars(self).items() if name not in FIELDS}
        readings = {name: [None if math.isnan(v) else v for v in getattr(self, name)] for name in READINGS}
        return {**own, **readings}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "StepTrace":
        """The inverse of `to_dict`."""
        values = {name: value for name, value in data.items() if name not in READINGS}
        for field_name, name in zip(FIELDS, READINGS, strict=True):
            values[field_name] = tuple(math.nan if value is None else value for value in data[name])
        return cls(**values)


@dataclass(kw_only=True)
class Trace(Displayed):
    """The readings of a run, step by step; a notebook shows them over sigma.

    Attributes:
        keyframes: pixel indices of the keyframes at which the method reads; none where it corrects nothing.
        slots: their latent slots.
        method: name of the editing method that made it.
        alpha, beta: the correction's rate, None where kappa was given, and the keyframe branch's share of it.
        steps: one `StepTrace` per step done so far.
    """

    keyframes: tuple[int, ...]
    slots: tuple[int, ...]
    method: str = ""
    alpha: float | None = None
    beta: float = 0.0
    steps: list[StepTrace] = field(default_factory=list[StepTrace])

    def array(self, reading: str) -> np.ndarray:
        """One of `READINGS` as an array (steps, keyframes) of float64."""
        if reading not in READINGS:
            raise SettingError(f"No reading {reading!r}; a trace holds {', '.join(READINGS)}.")
        rows = [getattr(step, reading) for step in self.steps]
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), len(self.keyframes))

    @property
    def sigmas(self) -> np.ndarray:
        """Noise level at the start of each step, (steps,)."""
        return np.asarray([step.sigma for step in self.steps], dtype=np.float64)

    def final_gap(self) -> float:
        """Largest `gap_norm` over the styled keyframes after the last step; NaN when there is no step or none."""
        last = self.steps[-1].gap_norm if self.steps else ()
        return max((gap for gap in last if not math.isnan(gap)), default=math.nan)

    def to_csv(self) -> str:
        """The trace as CSV: one row per step and keyframe."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("step", "sigma", "keyframe", *READINGS))
        for step in self.steps:
            for k, keyframe in enumerate(self.keyframes):
                values = (repr(float(getattr(step, name)[k])) for name in READINGS)
                writer.writerow((step.step, repr(float(step.sigma)), keyframe, *values))
        return buffer.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """The trace as plain numbers and lists, ready for JSON and for a widget; NaN, which JSON lacks, is None."""
        lists = {"keyframes": list(self.keyframes), "slots": list(self.slots)}
        return {**vars(self), **lists, "steps": [step.to_dict() for step in self.steps]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Trace":
        """The inverse of `to_dict`."""
        fields: dict[str, Any] = {**data, **{name: tuple(data[name]) for name in ("keyframes", "slots")}}
        fields["steps"] = [StepTrace.from_dict(step) for step in data["steps"]]
        return cls(**fields)

    def plot(self) -> "Figure":
        """Gap, residual and velocity difference over sigma, one line per keyframe, as a matplotlib figure."""
        from flowedit.show.figures import readings_figure

        return readings_figure({label: self.array(name) for name, label in PANELS.items()}, self.sigmas, self.keyframes)

    def _words(self) -> str:
        method = f" of {self.method}" if self.method else ""
        rate = "" if self.alpha is None else f", alpha {self.alpha:g}"
        return f"Trace{method}: {len(self.steps)} steps at {len(self.keyframes)} keyframes{rate}"

    def _alternative(self) -> str:
        return "Gap, residual and velocity difference per keyframe against sigma"

    def _facts(self) -> str:
        if not self.steps:
            return ""
        shown = sorted({*range(0, len(self.steps), max(1, len(self.steps) // 8)), len(self.steps) - 1})
        columns = ("step", "sigma", *(f"gap, frame {index}" for index in self.keyframes))
        rows = [(s.step, s.sigma, *s.gap_norm) for s in (self.steps[i] for i in shown)]
        return table_tag(f"Gap left after a step, for {len(shown)} of {len(self.steps)} steps", columns, rows)
