"""Checks of lesson 01: the correction, and the largest stable rate."""

from collections.abc import Callable, Iterator

import numpy as np

from flowedit.correction import gap_law, residual, unstable_steps
from flowedit.flow import euler_step
from flowedit.lessons.checks import Claim, close, exercise
from flowedit.schedule import wan_sigmas


@exercise("1.1")
def close_gap(answer: Callable[..., np.ndarray]) -> Iterator[Claim]:
    """The corrected velocity leaves `1 - kappa` of the residual, whatever the velocities."""
    rng = np.random.default_rng(11)
    for kappa, dt in ((1.0, 0.1), (0.5, 0.1), (0.3, 0.02), (0.0, 0.25)):
        x_main, x_key, v_main, v_key = rng.standard_normal((4, 3, 5))
        corrected = answer(x_main, x_key, v_main, v_key, dt, kappa)
        gap = euler_step(x_main, corrected, 0.5, 0.5 - dt) - euler_step(x_key, v_key, 0.5, 0.5 - dt)
        expected = gap_law(residual(x_main, x_key, v_main, v_key, dt).r, kappa)
        yield close("should leave the gap (1 - kappa) r", f"kappa = {kappa}, dt = {dt}", gap, expected)


@exercise("1.2")
def largest_alpha(answer: Callable[..., float]) -> Iterator[Claim]:
    """Just under the bound no step is unstable, just over it one is."""
    for steps, shift, beta in ((20, 5.0, 0.0), (20, 5.0, 1.0), (12, 1.0, 0.0), (30, 3.0, 0.5)):
        sigmas = wan_sigmas(steps, shift=shift)
        bound = float(answer(sigmas, beta))
        on = f"{steps} steps, shift {shift:g}, beta {beta:g} (your bound {bound:.4g})"
        under, over = (len(unstable_steps(max(bound * factor, 0), beta, sigmas)) for factor in (0.999, 1.001))
        yield Claim(
            says="should shrink the gap at every step when alpha is a little smaller than the bound",
            on=on,
            expected="0 unstable steps",
            got=str(under),
            holds=under == 0,
        )
        yield Claim(
            says="should be unstable somewhere when alpha is a little larger than the bound",
            on=on,
            expected="at least 1 unstable step",
            got=str(over),
            holds=over > 0,
        )
