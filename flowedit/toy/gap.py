"""Two branches with exact fields, and the gap between them while the correction pulls them together.

With `data = point_mass(...)` both fields are ideal: the velocity leads to one point whatever was pushed, so every push
but the last is forgotten. With `gaussian(..., spread)` the field reads from `x` where it is being led, as a learned one
does, and keeps part of each push.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from flowedit.correction import Gain, correct, residual
from flowedit.errors import SettingError
from flowedit.flow import euler_step, interpolate
from flowedit.toy.mixture import Mixture
from flowedit.toy.solvers import Field


class GapStep(NamedTuple):
    """One step of the two branches.

    `kappa` is the share of the residual that the main branch takes away; `r`, (n, d), the gap that an uncorrected step
    would leave, and `gap` the one after the corrected step.
    """

    sigma: float
    sigma_next: float
    kappa: float
    r: np.ndarray
    gap: np.ndarray


class Branches(NamedTuple):
    """A main and a keyframe branch: the field that moves each, and where it starts, (n, d)."""

    main: Field
    key: Field
    x_main: np.ndarray
    x_key: np.ndarray


def branches_of(main: Mixture, key: Mixture, noise: np.ndarray, sigma: float) -> Branches:
    """Branches that start at `sigma` on one noise (n, d), each from the centre of its own data of one component."""
    starts = (interpolate(data.means[:1], noise, sigma) for data in (main, key))
    return Branches(main.velocity, key.velocity, *starts)


def two_branches(
    branches: Branches, sigmas: Sequence[float], kappas: Sequence[float], *, beta: float = 0.0
) -> Iterator[GapStep]:
    """Both branches, one Euler step at a time down the grid, corrected at each by its share; see `kappas_of`.

    Raises:
        SettingError: a number of kappas that is not the number of steps.
    """
    if len(kappas) != len(sigmas) - 1:
        raise SettingError(f"{len(kappas)} kappas for {len(sigmas) - 1} steps; give one for each step.")
    main, key, x_main, x_key = branches
    for (sigma, sigma_next), kappa in zip(pairwise(sigmas), kappas, strict=True):
        dt = sigma - sigma_next
        v_main, v_key = main(x_main, sigma), key(x_key, sigma)
        r = residual(x_main, x_key, v_main, v_key, dt).r
        v_main, v_key = correct(v_main, v_key, r, kappa / dt, beta)
        x_main = euler_step(x_main, v_main, sigma, sigma_next)
        x_key = euler_step(x_key, v_key, sigma, sigma_next)
        yield GapStep(sigma, sigma_next, kappa, r, x_main - x_key)


def kappas_of(gain: Gain, sigmas: Sequence[float], beta: float = 0.0) -> tuple[float, ...]:
    """The correction's share at each step of a grid."""
    return tuple(gain(sigma - sigma_next, beta) for sigma, sigma_next in pairwise(sigmas))


def last_only(kappas: Sequence[float]) -> tuple[float, ...]:
    """No correction at any step but the last."""
    return (0.0,) * (len(kappas) - 1) + tuple(kappas[-1:])
