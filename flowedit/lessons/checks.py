"""Checks of exercises: which property holds, which one fails and on what input, and never the answer.

The first claim that does not hold is what the reader sees. A check never raises: an unsolved or wrong exercise does not
stop the cells below it.
"""

from flowedit.errors import SettingError
from flowedit.lessons.card import Card
from flowedit.lessons.exercises import CHECKS, Answer, Check


class ReturnsNothingError(Exception):
    """An answer without `return`."""


_RESULTS: dict[str, Card] = {}
_LOOKS = {"passed": ("✓", "#009E73"), "failed": ("✗", "#D55E00"), "open": ("…", "#8A8A8A")}


def check(name: str, answer: Answer) -> Card:
    """Try an answer against the properties that a right one has.

    Args:
        name: the exercise, such as "1.1".
        answer: what the exercise asks for, usually a function.

    Returns:
        A card that says "passed", or which property failed on which input, or that the exercise is still open.

    Raises:
        SettingError: there is no such exercise.
    """
    if name not in CHECKS:
        raise SettingError(f"There is no exercise {name!r}; there are {', '.join(CHECKS)}.")
    status, message = _judge(CHECKS[name], answer)
    sign, colour = _LOOKS[status]
    _RESULTS[name] = Card(f"{sign} Exercise {name} {status}", message, colour)
    return _RESULTS[name]


def report() -> list[Card]:
    """The latest result of every exercise tried so far, in order."""
    return [_RESULTS[name] for name in sorted(_RESULTS)]


def _judge(claims: Check, answer: Answer) -> tuple[str, str]:
    """The status of an answer, and one sentence."""
    count = 0

    def answered(*inputs: object) -> object:
        value = answer(*inputs)
        if value is None:
            raise ReturnsNothingError
        return value

    try:
        for claim in claims(answered):
            if not claim.holds:
                slip = f"{claim.slip[0].upper()}{claim.slip[1:]}. " if claim.slip else ""
                return "failed", f"{slip}It {claim.says}: on {claim.on} expected {claim.expected}, got {claim.got}."
            count += 1
    except ReturnsNothingError:
        return "failed", "It returns nothing: end it with `return`."
    except NotImplementedError:
        return "open", "Write the missing lines, then run this cell again."
    except Exception as error:  # a student's mistake of any kind is an answer to report
        return "failed", f"Your code raised {type(error).__name__}: {error}"
    return "passed", f"{count} properties hold."
