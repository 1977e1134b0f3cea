"""Checks of exercises: which property holds, which one fails and on what input, and never the answer.

An exercise's check is a generator of claims. The first claim that does not hold is what the reader sees. A check never
raises: an unsolved or wrong exercise does not stop the cells below it.
"""

import html
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from flowedit.errors import SettingError


@dataclass(frozen=True, kw_only=True)
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


Check = Callable[[Any], Iterator[Claim]]
_CHECKS: dict[str, Check] = {}
_RESULTS: dict[str, "CheckResult"] = {}


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        name: the exercise, such as "1.1".
        status: "passed", "failed" or "open".
        message: one sentence.
    """

    name: str
    status: str
    message: str

    def __repr__(self) -> str:
        """The result as one line of text."""
        return f"Exercise {self.name} {self.status}: {self.message}"

    def _repr_html_(self) -> str:
        colour, sign = {"passed": ("#009E73", "✓"), "failed": ("#D55E00", "✗")}.get(self.status, ("#8A8A8A", "…"))
        return (
            f'<p style="border-left:4px solid {colour};padding:.3em .8em;margin:.3em 0">'
            f"<b>{sign} Exercise {self.name} {self.status}</b><br>{html.escape(self.message)}</p>"
        )


def exercise(name: str) -> Callable[[Check], Check]:
    """Register a generator of claims as the check of an exercise."""

    def register(check: Check) -> Check:
        _CHECKS[name] = check
        return check

    return register


def check(name: str, answer: object) -> CheckResult:
    """Try an answer against the properties that a right one has.

    Args:
        name: the exercise, such as "1.1".
        answer: what the exercise asks for, usually a function.

    Returns:
        A card that says "passed", or which property failed on which input, or that the exercise is still open.

    Raises:
        SettingError: there is no such exercise.
    """
    import_module(f"flowedit.lessons.exercises.lesson{name.split('.')[0].zfill(2)}")
    if name not in _CHECKS:
        raise SettingError(f"There is no exercise {name!r}; this lesson has {', '.join(sorted(_CHECKS))}.")
    result = _RESULTS[name] = _judge(name, _CHECKS[name], answer)
    return result


def report() -> list[CheckResult]:
    """The latest result of every exercise tried so far, in order."""
    return [_RESULTS[name] for name in sorted(_RESULTS)]


def close(says: str, on: str, got: object, expected: object, tolerance: float = 1e-9) -> Claim:
    """Claim that numbers or arrays agree within an absolute tolerance, in shape as well."""
    a, b = (np.asarray(value, dtype=np.float64) for value in (got, expected))
    holds = a.shape == b.shape and bool(np.all(np.abs(a - b) <= tolerance))
    return Claim(says=says, on=on, expected=_brief(b), got=_brief(a), holds=holds)


def equal(says: str, on: str, got: object, expected: object) -> Claim:
    """Claim that two values are the same."""
    return Claim(says=says, on=on, expected=repr(expected), got=repr(got), holds=bool(got == expected))


def _judge(name: str, claims: Check, answer: object) -> CheckResult:
    count = 0
    try:
        for claim in claims(answer):
            if not claim.holds:
                message = f"It {claim.says}: on {claim.on} expected {claim.expected}, got {claim.got}."
                return CheckResult(name, "failed", message)
            count += 1
    except NotImplementedError:
        return CheckResult(name, "open", "Write the missing lines, then run this cell again.")
    except Exception as error:
        return CheckResult(name, "failed", f"Your code raised {type(error).__name__}: {error}")
    return CheckResult(name, "passed", f"{count} properties hold.")


def _brief(value: np.ndarray) -> str:
    if value.ndim == 0:
        number = float(value)
        return f"{number:.6g}" if math.isfinite(number) else str(number)
    if value.size <= 4:
        return np.array2string(value, precision=4, separator=", ")
    return f"an array of shape {value.shape} with mean {value.mean():.4g}"
