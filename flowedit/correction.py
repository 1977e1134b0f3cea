"""The residual between the main branch and the keyframe branch, and the correction that closes it.

With both branches at one sigma and on one noise, `r = z_diff - v_diff * dt` is the gap that the next Euler step would
leave at the keyframe slots. Adding `(kappa / dt) * r` to the main velocity there, and taking `(beta * kappa / dt) * r`
from the keyframe velocity, leaves the gap `(1 - kappa * (1 + beta)) * r` instead: the gap law.

Everything here is plain arithmetic: NumPy arrays and torch tensors, float32 and float64, any shape.
"""

import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from flowedit.errors import SettingError, UnusualSettingWarning
from flowedit.flow import Array

Gain = Callable[[float], float]
"""Maps a step's length `dt` to the correction's share `kappa` of the main branch."""


class Residual(NamedTuple):
    """What one step sees between the branches, each in the shape of the keyframe slots."""

    z_diff: Any
    v_diff: Any
    r: Any


def residual(x_main: Array, x_key: Array, v_main: Array, v_key: Array, dt: float) -> Residual:
    """The gap that the next Euler step would leave, with its two parts.

    Args:
        x_main: main branch at the keyframe slots, any shape.
        x_key: keyframe branch at the same sigma, same shape.
        v_main: velocity of the main branch at the slots, after guidance.
        v_key: velocity of the keyframe branch, after guidance.
        dt: length of the step in sigma, positive.

    Returns:
        `z_diff = x_main - x_key`, `v_diff = v_main - v_key`, `r = z_diff - v_diff * dt`.

    >>> residual(3.0, 1.0, 2.0, 0.0, 0.5)
    Residual(z_diff=2.0, v_diff=2.0, r=1.0)
    """
    z_diff = x_main - x_key
    v_diff = v_main - v_key
    return Residual(z_diff, v_diff, z_diff - v_diff * dt)


def correct(v_main: Array, v_key: Array, r: Array, push: float, beta: float = 0.0) -> tuple[Array, Array]:
    """Both velocities after the correction.

    Args:
        v_main: velocity of the main branch at the slots.
        v_key: velocity of the keyframe branch.
        r: the residual.
        push: `kappa / dt`.
        beta: how far the keyframe branch comes to meet the main one, in [0, 1].

    Returns:
        `(v_main + push * r, v_key - beta * push * r)`.

    >>> correct(2.0, 0.0, 1.0, push=0.5, beta=1.0)
    (2.5, -0.5)
    """
    return v_main + push * r, v_key - (beta * push) * r


def gap_law(r: Array, kappa: float, beta: float = 0.0) -> Array:
    """The gap after a corrected Euler step: `(1 - kappa * (1 + beta)) * r`."""
    return (1 - kappa * (1 + beta)) * r


def exact_gain(alpha: float, beta: float = 0.0) -> Gain:
    """The rate `alpha` integrated over the step: total gain `1 - exp(-alpha * (1 + beta) * dt)`, always in [0, 1).

    The total is shared 1 : beta between the branches, so `kappa` is the total divided by `1 + beta`.

    >>> round(exact_gain(10.0)(0.1), 6)
    0.632121
    """
    check_rate(alpha, beta)
    return lambda dt: -math.expm1(-alpha * (1 + beta) * dt) / (1 + beta)


def euler_gain(alpha: float) -> Gain:
    """The literal Euler form `kappa = alpha * dt`; contracts only for `0 < alpha * dt * (1 + beta) < 2`.

    >>> euler_gain(10.0)(0.25)
    2.5
    """
    check_rate(alpha, 0.0)
    return lambda dt: alpha * dt


def constant_gain(kappa: float) -> Gain:
    """The same share of the residual at every step.

    >>> constant_gain(0.5)(0.01)
    0.5
    """
    if not 0 <= kappa <= 1:
        raise SettingError(f"kappa is {kappa}; it must lie in [0, 1]. 0 corrects nothing, 1 closes the gap at once.")
    return lambda dt: kappa


def check_rate(alpha: float, beta: float) -> None:
    """Refuse a rate or a share that makes no sense."""
    if not alpha >= 0 or math.isinf(alpha):
        raise SettingError(f"alpha is {alpha}; it must be at least 0 and finite. Use 10, or 0 for no correction.")
    if not 0 <= beta <= 1:
        raise SettingError(f"beta is {beta}; it must lie in [0, 1]. Use 0 to leave the keyframes alone.")


def unstable_steps(alpha: float, beta: float, sigmas: tuple[float, ...]) -> list[int]:
    """The steps at which the literal Euler form makes the gap grow: `alpha * dt * (1 + beta) >= 2`.

    >>> unstable_steps(10.0, 0.0, (1.0, 0.5, 0.4, 0.0))
    [0, 2]
    """
    pairs = pairwise(sigmas)
    return [i for i, (sigma, sigma_next) in enumerate(pairs) if alpha * (sigma - sigma_next) * (1 + beta) >= 2]


def warn_if_unstable(alpha: float, beta: float, sigmas: tuple[float, ...]) -> None:
    """Warn when the literal Euler form diverges somewhere on this grid."""
    steps = unstable_steps(alpha, beta, sigmas)
    if steps:
        first = steps[0]
        amount = alpha * (sigmas[first] - sigmas[first + 1]) * (1 + beta)
        warnings.warn(
            f"The literal Euler correction makes the gap grow at step {first}: alpha * dt * (1 + beta) = {amount:.2f}, "
            "and it must stay under 2. Use a smaller alpha, more steps, or the exact gain.",
            UnusualSettingWarning,
            stacklevel=3,
        )
