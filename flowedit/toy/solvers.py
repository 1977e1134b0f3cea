"""Euler and Heun on a sigma grid, as generators, and the order that a solver is observed to have."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from flowedit.errors import SettingError
from flowedit.flow import euler_step

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
"""The solvers by name."""


def solve(solver: Solver, field: Field, x: np.ndarray, sigmas: Iterable[float]) -> np.ndarray:
    """The points at the end of the grid."""
    return trajectory(solver, field, x, sigmas)[-1]


def trajectory(solver: Solver, field: Field, x: np.ndarray, sigmas: Iterable[float]) -> np.ndarray:
    """The points at every sigma of the grid, (steps + 1, n, d)."""
    return np.stack([x, *solver(field, x, sigmas)])


def observed_order(errors: Sequence[float], steps: Sequence[int]) -> float:
    """The slope with which the error falls as the number of steps grows, both on a log scale (least squares).

    Args:
        errors: the error at each number of steps, positive.
        steps: the numbers of steps, at least two different ones.

    Returns:
        About 1 for Euler and 2 for Heun.

    Raises:
        SettingError: fewer than two measurements, or an error that is not positive.

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
