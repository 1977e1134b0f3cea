"""The gap law by hand: choose a grid and a correction, and see the gap of every step, without a kernel."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import traitlets

from flowedit.correction import Euler, Exact, Gain, check_beta, unstable_steps
from flowedit.display import figure_tag, table_tag
from flowedit.errors import SettingError
from flowedit.flow import interpolate
from flowedit.schedule import check_grid, wan_sigmas
from flowedit.toy import gaussian, kappas_of, last_only, two_branches
from flowedit.toy.gap import Branches, GapStep
from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget

GAINS = ("exact", "euler")
MAX_STEPS = 200


class GapCurves(NamedTuple):
    """What the widget draws, computed with the package's own loop.

    Attributes:
        sigmas: the grid, steps + 1 values.
        kappas: share of the residual the main branch takes, one per step.
        residuals: gap that each step would have left without its correction, in units of the difference D.
        corrected: gap after each step, in units of D.
        last_only: the same when only the last step is corrected.
        never: the same without any correction.
        unstable: steps at which the literal Euler form makes the gap grow.
    """

    sigmas: tuple[float, ...]
    kappas: tuple[float, ...]
    residuals: tuple[float, ...]
    corrected: tuple[float, ...]
    last_only: tuple[float, ...]
    never: tuple[float, ...]
    unstable: tuple[int, ...]


class GapExplorer(FlowWidget):
    """The gap between the main and the keyframe branch, step by step, from the closed form.

    The two branches start on one noise and differ by `D` in their data. Each is moved by the exact velocity field of
    Gaussian data of standard deviation `spread` (in units of D) around its own centre: 0 is the ideal field, which
    forgets every push but the last; a wider one reads from where it is, as a learned field does, and keeps part of
    each.

    Attributes:
        steps: Euler steps, 1 to 200.
        shift: bend of Wan's grid, positive.
        strength: where the grid starts, in (0, 1].
        alpha: rate of the correction, at least 0.
        beta: share that the keyframe branch takes, in [0, 1].
        gain: "exact" integrates the rate over each step; "euler" is the literal `kappa = alpha * dt`.
        spread: width of the data that the fields know, in units of D, in [0, 2].
        step: the step that is read out.

    >>> explorer = GapExplorer(steps=20, alpha=10.0, gain="euler")
    >>> explorer.curves().unstable
    (19,)
    """

    _esm = script("chart", "controls", "grid", "gap_explorer")
    _css = style("gap_explorer")

    steps = traitlets.Int(20, min=1, max=MAX_STEPS).tag(sync=True)
    shift = traitlets.Float(5.0).tag(sync=True)
    strength = traitlets.Float(1.0).tag(sync=True)
    alpha = traitlets.Float(10.0).tag(sync=True)
    beta = traitlets.Float(0.0).tag(sync=True)
    gain = traitlets.Enum(GAINS, "exact").tag(sync=True)
    spread = traitlets.Float(0.0, min=0.0, max=2.0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(self, **traits: object) -> None:
        """Show the gap for the given settings.

        Args:
            **traits: any attribute above, and `heading` and `note`.

        Raises:
            SettingError: a setting from which no grid or no correction can be made.
        """
        super().__init__(**{"heading": "The gap, step by step", "note": "closed form", **traits})

    def curves(self) -> GapCurves:
        """The values that the widget draws, from `two_branches` on the package's own equations."""
        sigmas = wan_sigmas(self.steps, strength=self.strength, shift=self.shift)
        kappas = kappas_of(self._gain(), sigmas, self.beta)
        every = self._run(sigmas, kappas)
        last, never = (self._run(sigmas, other) for other in (last_only(kappas), (0.0,) * self.steps))
        unstable = unstable_steps(self.alpha, self.beta, sigmas) if self.gain == "euler" else []
        corrected, only_last, uncorrected = (
            tuple(float(step.gap[0, 0]) for step in run) for run in (every, last, never)
        )
        residuals = tuple(float(step.r[0, 0]) for step in every)
        return GapCurves(sigmas, kappas, residuals, corrected, only_last, uncorrected, tuple(unstable))

    def _gain(self) -> Gain:
        return Exact(self.alpha) if self.gain == "exact" else Euler(self.alpha)

    def _run(self, sigmas: Sequence[float], kappas: Sequence[float]) -> list[GapStep]:
        main, key = np.ones((1, 1)), np.zeros((1, 1))
        noise = np.full((1, 1), 0.5)
        branches = Branches(
            main=gaussian(main[0], self.spread).velocity,
            key=gaussian(key[0], self.spread).velocity,
            x_main=interpolate(main, noise, sigmas[0]),
            x_key=interpolate(key, noise, sigmas[0]),
        )
        return list(two_branches(branches, sigmas, kappas, beta=self.beta))

    @traitlets.validate("shift", "strength")
    def _check_grid(self, proposal: traitlets.Bunch) -> float:
        value = proposal["value"]
        check_grid(1, *((value, 1.0) if proposal["trait"].name == "strength" else (1.0, value)))
        return value

    @traitlets.validate("alpha", "beta")
    def _check_rate(self, proposal: traitlets.Bunch) -> float:
        value = proposal["value"]
        check = Exact if proposal["trait"].name == "alpha" else check_beta
        check(value)
        return value

    @traitlets.validate("step")
    def _keep_step_inside(self, proposal: traitlets.Bunch) -> int:
        if proposal["value"] < 0:
            raise SettingError(f"step is {proposal['value']}; the first step is 0.")
        return proposal["value"]

    def _still(self) -> str:
        from flowedit.figures import Shown  # matplotlib takes a second to load

        curves = self.curves()
        unstable = f"The gap grows at {len(curves.unstable)} of {self.steps} steps. " if curves.unstable else ""
        words = (
            f"{self.gain} gain, {self.steps} steps, shift {self.shift:g}, alpha {self.alpha:g}, beta {self.beta:g}, "
            f"spread {self.spread:g}. {unstable}Final gap {curves.corrected[-1]:.4g} of D; corrected only at the last "
            f"step {curves.last_only[-1]:.4g}; never corrected {curves.never[-1]:.4g}."
        )
        figure = Shown(figsize=(7, 3), layout="constrained")
        axis = figure.subplots()
        axis.plot(curves.corrected, label="corrected at every step")
        axis.plot(curves.last_only, "--", label="only at the last step")
        axis.plot(curves.never, ":", label="never corrected")
        axis.set(xlabel="step", ylabel="gap / D")
        axis.legend()
        dts = -np.diff(curves.sigmas)
        series = (curves.sigmas, dts, curves.kappas, curves.residuals, curves.corrected, curves.last_only, curves.never)
        shown = np.unique(np.linspace(0, self.steps - 1, min(12, self.steps)).round().astype(int)).tolist()
        columns = ("step", "sigma", "dt", "kappa", "gap without the push", "gap", "gap, last only", "gap, never")
        table = table_tag(words, columns, [(i, *(float(values[i]) for values in series)) for i in shown])
        return figure_tag(figure, words) + table
