"""The residual between the main branch and the keyframe branch, and the correction that closes it.

With both branches at one sigma and on one noise, `r = z_diff - v_diff * dt` is the gap that the next Euler step would
leave at the keyframe slots. Adding `(kappa / dt) * r` to the main velocity there, and taking `(beta * kappa / dt) * r`
from the keyframe velocity, leaves the gap `(1 - kappa * (1 + beta)) * r` instead: the gap law.

Everything here is plain arithmetic: NumPy arrays and torch tensors, float32 and float64, any shape.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from flowedit.errors import SettingError, UnusualSettingWarning
from flowedit.flow import Array


class Residual(NamedTuple):
    """What one step sees between the branches, each in the shape of the keyframe slots."""

    z_diff: Any
    v_diff: Any
    r: Any


def residual(x_main: Array, x_key: Array, v_main: Array, v_key: Array, dt: float) -> Residual:
    """The gap that the next Euler step, `dt` long in sigma, would leave at the slots, with its two parts.

    >>> residual(3.0, 1.0, 2.0, 0.0, 0.5)
    Residual(z_diff=2.0, v_diff=2.0, r=1.0)
    """
    z_diff = x_main - x_key
    v_diff = v_main - v_key
    return Residual(z_diff, v_diff, z_diff - v_diff * dt)


def correct(v_main: Array, v_key: Array, r: Array, rate: float, beta: float = 0.0) -> tuple[Array, Array]:
    """Both velocities at the slots after the correction; `rate` is `kappa / dt`.

    >>> correct(2.0, 0.0, 1.0, rate=0.5, beta=1.0)
    (2.5, -0.5)
    """
    return v_main + rate * r, v_key - (beta * rate) * r


def gap_law(r: Array, kappa: float, beta: float = 0.0) -> Array:
    """The gap after a corrected Euler step."""
    return (1 - kappa * (1 + beta)) * r


@dataclass(frozen=True)
class _Rate:
    """A correction whose strength, the user's `alpha`, is given per unit of sigma."""

    rate: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate < math.inf:
            raise SettingError(f"alpha is {self.rate}; it must be at least 0 and finite. Use 10, or 0 to leave it out.")


class Exact(_Rate):
    """The rate integrated over the step: total gain `1 - exp(-rate * (1 + beta) * dt)`, always in [0, 1).

    The total is shared 1 : beta between the branches, so `kappa` is the total divided by `1 + beta`.

    >>> round(Exact(10.0)(0.1), 6)
    0.632121
    """

    def __call__(self, dt: float, beta: float = 0.0) -> float:
        """`kappa` in a step of length `dt`."""
        return -math.expm1(-self.rate * (1 + beta) * dt) / (1 + beta)


class Euler(_Rate):
    """The literal form `kappa = rate * dt`; contracts only for `0 < rate * dt * (1 + beta) < 2`.

    >>> Euler(10.0)(0.25)
    2.5
    """

    def __call__(self, dt: float, beta: float = 0.0) -> float:
        """`kappa` in a step of length `dt`."""
        return self.rate * dt


@dataclass(frozen=True)
class Constant:
    """The same share of the residual at every step: the user's `kappa`, in [0, 1].

    >>> Constant(0.5)(0.01)
    0.5
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise SettingError(f"kappa is {self.share}; it must be in [0, 1]. 0 corrects nothing, 1 all at once.")

    def __call__(self, dt: float, beta: float = 0.0) -> float:
        """`kappa` in a step of length `dt`."""
        return self.share


Gain = Exact | Euler | Constant
"""`gain(dt, beta)` is the main branch's share `kappa` of the residual in a step of length `dt`."""
DEFAULT_GAIN = Exact()


def gain_from(alpha: float | None = None, kappa: float | None = None, form: str = "exact") -> Gain:
    """The gain that a user's words ask for.

    Args:
        alpha: rate per unit of sigma, at least 0; None for 10 where no `kappa` is given.
        kappa: fixed share per step, in [0, 1].
        form: `exact` integrates the rate over a step, `euler` takes the literal `alpha * dt`.

    Raises:
        SettingError: `kappa` beside one of the others, a form that does not exist, or a value that makes no sense.
    """
    if form not in ("exact", "euler"):
        raise SettingError(f"gain is {form!r}; use one of exact, euler.")
    if kappa is None:
        rate = _Rate.rate if alpha is None else alpha
        return Euler(rate) if form == "euler" else Exact(rate)
    if alpha is not None or form == "euler":
        other = "gain is euler" if alpha is None else f"alpha is {alpha}"
        raise SettingError(
            f"{other} and kappa is {kappa}; a share per step takes the place of the rate. Leave one of them out."
        )
    return Constant(kappa)


def unstable_steps(alpha: float, beta: float, sigmas: Sequence[float]) -> list[int]:
    """The steps at which the literal Euler form makes the gap grow: `alpha * dt * (1 + beta) >= 2`.

    >>> unstable_steps(10.0, 0.0, (1.0, 0.5, 0.4, 0.0))
    [0, 2]
    """
    pairs = pairwise(sigmas)
    return [i for i, (sigma, sigma_next) in enumerate(pairs) if alpha * (sigma - sigma_next) * (1 + beta) >= 2]


def warn_if_unstable(gain: Gain, beta: float, sigmas: Sequence[float]) -> None:
    """Warn when the literal Euler form diverges somewhere on this grid."""
    steps = unstable_steps(gain.rate, beta, sigmas) if isinstance(gain, Euler) else []
    if steps:
        amount = gain(sigmas[steps[0]] - sigmas[steps[0] + 1]) * (1 + beta)
        warnings.warn(
            f"The literal Euler correction makes the gap grow at step {steps[0]}: alpha * dt * (1 + beta) = "
            f"{amount:.2f}, and it must stay under 2. Use a smaller alpha, more steps, or the exact gain.",
            UnusualSettingWarning,
            stacklevel=3,
        )
