"""Euler and Heun on a sigma grid, as generators, the order that a solver is observed to have, and the edit's field."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from flowedit.errors import SettingError
from flowedit.flow import euler_step, interpolate

Field = Callable[[np.ndarray, float], np.ndarray]
"""(points (n, d), sigma) -> velocities (n, d)."""
Solver = Callable[[Field, np.ndarray, Iterable[float]], Iterator[np.ndarray]]
"""(field, start, sigma grid) -> the points after each step."""


def euler(field: Field, x: np.ndarray, sigmas: Iterable[float]) -> Iterator[np.ndarray]:
    """First order: one velocity per step.

    >>> [float(x) for x in euler(lambda x, sigma: x / sigma, 8.0, (1.0, 0.5, 0.25))]
    [4.0, 2.0]
    """
    for sigma, sigma_next in pairwise(sigmas):
        x = euler_step(x, field(x, sigma), sigma, sigma_next)
        yield x


def heun(field: Field, x: np.ndarray, sigmas: Iterable[float]) -> Iterator[np.ndarray]:
    """Second order: the mean of the velocities at both ends of the step.

    A step that ends at sigma 0 is an Euler step, because the velocity of a point mass does not exist there. The order
    stays 2: one step's error is of second order (Karras et al. 2022, arXiv 2206.00364, algorithm 1).
    """
    for sigma, sigma_next in pairwise(sigmas):
        v = field(x, sigma)
        if sigma_next > 0:
            v = (v + field(euler_step(x, v, sigma, sigma_next), sigma_next)) / 2
        x = euler_step(x, v, sigma, sigma_next)
        yield x


SOLVERS: dict[str, Solver] = {"euler": euler, "heun": heun}


def solve(solver: Solver, field: Field, x: np.ndarray, sigmas: Iterable[float]) -> np.ndarray:
    """The points at the end of the grid."""
    return trajectory(solver, field, x, sigmas)[-1]


def trajectory(solver: Solver, field: Field, x: np.ndarray, sigmas: Iterable[float]) -> np.ndarray:
    """The points at every sigma of the grid, (steps + 1, n, d)."""
    return np.stack([x, *solver(field, x, sigmas)])


def observed_order(errors: Sequence[float], steps: Sequence[int]) -> float:
    """The slope with which the error falls as the number of steps grows, both on a log scale (least squares).

    About 1 for Euler and 2 for Heun.

    Raises:
        SettingError: fewer than two different numbers of steps, or an error that is not positive.

    >>> round(observed_order([0.4, 0.1, 0.025], [1, 2, 4]), 6)
    2.0
    """
    if len(errors) != len(steps) or len(set(steps)) < 2:
        raise SettingError(
            f"{len(errors)} errors for {len(steps)} step counts; an order needs one for each of two different counts."
        )
    if min(errors) <= 0:
        raise SettingError(f"The smallest error is {min(errors)}; an order needs positive errors. Use fewer steps.")
    slope = np.polyfit(np.log(np.asarray(steps, dtype=np.float64)), np.log(np.asarray(errors, dtype=np.float64)), 1)[0]
    return -float(slope)


def difference_field(v_source: Field, v_target: Field, source: np.ndarray, noise: np.ndarray) -> Field:
    """The velocity of an edit that starts at the `source` points (n, d): editing without inversion.

    `x_source` is the source on the run's one noise, `x_target` the edit displaced by as much, and the edit moves by the
    difference of the two velocities (FlowEdit: Kulikov et al. 2024, arXiv 2412.08629). Equal fields leave the source
    where it is, and between point masses the edit lands on the target.
    """

    def field(edit: np.ndarray, sigma: float) -> np.ndarray:
        x_source = interpolate(source, noise, sigma)
        x_target = edit + x_source - source
        return v_target(x_target, sigma) - v_source(x_source, sigma)

    return field
