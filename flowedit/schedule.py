"""Sigma grids: `steps + 1` decreasing noise levels whose last one is 0."""

from itertools import pairwise
from math import isfinite
from numbers import Integral

import numpy as np

from flowedit.errors import SettingError


def wan_sigmas(steps: int, *, strength: float = 1.0, shift: float = 5.0) -> tuple[float, ...]:
    """Wan's grid: evenly spaced from `strength` to 0, then bent towards noise by `shift`.

    The values are computed in float32, as the vendor's scheduler does, and given as Python floats.

    Args:
        steps: number of Euler steps, at least 1.
        strength: how far up the grid starts, in (0, 1]; 1 starts at pure noise.
        shift: `s -> shift * s / (1 + (shift - 1) * s)`; 1 leaves the grid even, Wan uses 3 to 16.

    Raises:
        SettingError: a value outside its range, or a shift so large that steps fall together in float32.

    >>> wan_sigmas(2, shift=1.0)
    (1.0, 0.5, 0.0)
    """
    check_grid(steps, strength, shift)
    # Rounded once each and from both ends, as torch.linspace rounds.
    begin, index = np.float32(strength), np.arange(steps + 1)
    step = float(np.float32(-begin / np.float32(steps)))
    even = np.where(index < (steps + 1) // 2, float(begin) + step * index, -step * (steps - index)).astype(np.float32)
    bent = np.float32(shift) * even / (np.float32(1) + np.float32(shift - 1) * even)
    sigmas = tuple(float(sigma) for sigma in bent)
    if any(sigma <= sigma_next for sigma, sigma_next in pairwise(sigmas)):
        raise SettingError(
            f"{steps} steps at strength {strength} and shift {shift} have steps of length 0; each must lower sigma. "
            "Use a shift of 1 to 16."
        )
    return sigmas


def check_grid(steps: int, strength: float, shift: float) -> None:
    """Refuse settings from which no grid can be made."""
    if not isinstance(steps, Integral) or steps < 1:
        raise SettingError(f"steps is {steps}; it must be a whole number of at least 1. Use 20 to 50.")
    if not 0 < strength <= 1:
        raise SettingError(f"strength is {strength}; it must be in (0, 1]. Use 0.8 for a strong edit.")
    if not (shift > 0 and isfinite(shift)):
        raise SettingError(f"shift is {shift}; it must be positive and finite. Use 5, or 3 for small frames.")


def skip_steps(steps: int, strength: float) -> int:
    """How many of the first steps a `strength` below 1 leaves out when the grid itself stays whole.

    >>> skip_steps(50, 0.8)
    10
    """
    return min(round((1 - strength) * steps), steps - 1)
