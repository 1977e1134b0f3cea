"""The gap law by hand: choose a grid and a correction, and see the gap of every step, without a kernel."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import traitlets

from flowedit.correction import Euler, Exact, unstable_steps
from flowedit.schedule import wan_sigmas
from flowedit.show.display import figure_tag, table_tag
from flowedit.toy import branches_of, gaussian, kappas_of, last_only, two_branches
from flowedit.widgets._base import FlowWidget
from flowedit.widgets.export import script, style

GAINS = ("exact", "euler")
MAX_STEPS = 200
_SMALL = 1e-3


class GapCurves(NamedTuple):
    """What the widget draws, computed with the package's own loop: one value per step, gaps in units of D."""

    sigmas: tuple[float, ...]  # the grid, one value more
    kappas: tuple[float, ...]  # share of the residual that the main branch takes
    residuals: tuple[float, ...]  # the gap without this step's correction
    corrected: tuple[float, ...]  # the gap after the step
    last_only: tuple[float, ...]  # the same where only the last step is corrected
    never: tuple[float, ...]
    unstable: tuple[int, ...]  # steps at which the literal Euler form makes the gap grow


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

    Raises:
        TraitError: a setting out of its range.

    >>> explorer = GapExplorer(steps=20, alpha=10.0, gain="euler")
    >>> explorer.curves().unstable
    (19,)
    """

    _esm = script("chart", "controls", "gap_explorer")
    _css = style("gap_explorer")

    steps = traitlets.Int(20, min=1, max=MAX_STEPS).tag(sync=True)
    shift = traitlets.Float(5.0, min=_SMALL).tag(sync=True)
    strength = traitlets.Float(1.0, min=_SMALL, max=1.0).tag(sync=True)
    alpha = traitlets.Float(10.0, min=0.0).tag(sync=True)
    beta = traitlets.Float(0.0, min=0.0, max=1.0).tag(sync=True)
    gain = traitlets.Enum(GAINS, "exact").tag(sync=True)
    spread = traitlets.Float(0.0, min=0.0, max=2.0).tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, **traits: object) -> None:
        super().__init__(**{"heading": "The gap, step by step", "note": "closed form", **traits})

    def curves(self) -> GapCurves:
        """The values that the widget draws, from `two_branches` on the package's own equations."""
        sigmas = wan_sigmas(self.steps, strength=self.strength, shift=self.shift)
        gain = Exact(self.alpha) if self.gain == "exact" else Euler(self.alpha)
        kappas = kappas_of(gain, sigmas, self.beta)
        residuals, corrected = self._run(sigmas, kappas)
        _, last = self._run(sigmas, last_only(kappas))
        _, never = self._run(sigmas, (0.0,) * self.steps)
        unstable = unstable_steps(self.alpha, self.beta, sigmas) if self.gain == "euler" else ()
        return GapCurves(sigmas, kappas, residuals, corrected, last, never, tuple(unstable))

    def _run(self, sigmas: Sequence[float], kappas: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Residual and gap of every step."""
        main, key = (gaussian(np.array([centre]), self.spread) for centre in (1.0, 0.0))
        branches = branches_of(main, key, np.full((1, 1), 0.5), sigmas[0])
        steps = list(two_branches(branches, sigmas, kappas, beta=self.beta))
        return tuple(float(step.r[0, 0]) for step in steps), tuple(float(step.gap[0, 0]) for step in steps)

    def _still(self) -> str:
        from flowedit.show.figures import Shown  # matplotlib takes a second to load

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
        shown = np.unique(np.linspace(0, self.steps - 1, min(12, self.steps)).round().astype(int)).tolist()
        columns = ("step", "sigma", "kappa", "gap without the push", "gap", "gap, last only", "gap, never")
        rows = [(i, *(float(values[i]) for values in curves[:-1])) for i in shown]
        return figure_tag(figure, words) + table_tag(words, columns, rows)
