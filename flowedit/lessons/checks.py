"""Checks of exercises: which property holds, which one fails and on what input, and never the answer.

The reader sees the first property that does not hold. A check never raises: an unsolved or wrong exercise does not stop
the cells below it.
"""

from collections.abc import Callable

from flowedit.errors import SettingError
from flowedit.lessons.card import Card
from flowedit.lessons.exercises import CHECKS, Answer, WrongAnswerError

_LOOKS = {"passed": ("✓", "#009E73"), "failed": ("✗", "#D55E00"), "open": ("…", "#8A8A8A")}


def check(name: str, answer: Answer) -> Card:
    """Try an answer to an exercise, such as "1.1": a card that says "passed", what failed on which input, or "open".

    Raises:
        SettingError: there is no such exercise.
    """
    if name not in CHECKS:
        raise SettingError(f"There is no exercise {name!r}; there are {', '.join(CHECKS)}.")
    status, message = _judge(CHECKS[name], answer)
    sign, colour = _LOOKS[status]
    return Card(f"{sign} Exercise {name} {status}", message, colour)


def _judge(tried: Callable[[Answer], str | None], answer: Answer) -> tuple[str, str]:
    """The status of an answer, and one sentence."""

    def answered(*inputs: object) -> object:
        value = answer(*inputs)
        if value is None:
            raise WrongAnswerError("It returns nothing: end it with `return`.")
        return value

    try:
        return "passed", tried(answered) or "It has every property that was tried."
    except WrongAnswerError as error:
        return "failed", str(error)
    except NotImplementedError:
        return "open", "Write the missing lines, then run this cell again."
    except Exception as error:  # a student's mistake of any kind is an answer to report
        return "failed", f"Your code raised {type(error).__name__}: {error}"
