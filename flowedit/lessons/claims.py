"""Claims: one property of an answer each, tried on one input."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Claim:
    """One property of an answer.

    Attributes:
        says: the property, as the end of the sentence "it ...".
        on: the input it was tried on.
        expected: what the property asks for.
        got: what the answer gave.
        holds: whether it does.
    """

    says: str
    on: str
    expected: str
    got: str
    holds: bool


def close(says: str, on: str, got: object, expected: object, tolerance: float = 1e-9) -> Claim:
    """Claim that numbers or arrays agree within an absolute tolerance, in shape as well."""
    a, b = (np.asarray(value, dtype=np.float64) for value in (got, expected))
    holds = a.shape == b.shape and bool(np.all(np.abs(a - b) <= tolerance))
    return Claim(says, on, _brief(b), _brief(a), holds)


def equal(says: str, on: str, got: object, expected: object) -> Claim:
    """Claim that two values are the same."""
    return Claim(says, on, repr(expected), repr(got), bool(got == expected))


def _brief(value: np.ndarray) -> str:
    if value.ndim == 0:
        return f"{float(value):.6g}" if math.isfinite(value) else str(float(value))
    if value.size <= 4:
        return np.array2string(value, precision=4, separator=", ")
    return f"an array of shape {value.shape} with mean {value.mean():.4g}"
