"""What a run asked of a model: the answers, kept before they are used, and the cost, counted before a request is sent.

An answer's file is named after its request, so the same request finds it, after a kill as well as in a test that
replays recorded answers, and nothing is paid for twice. It holds the answer alone, never the request's headers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from flowedit.agent.colour import Frozen
from flowedit.agent.events import Usage
from flowedit.agent.settings import GeminiSettings
from flowedit.errors import AgentError
from flowedit.files import make_folder, only_file, write_text


class Answer(Frozen):
    """One answer: words, pictures in base64, and why it stopped or the request was blocked, in the API's words."""

    model: str
    text: str
    images: list[str]
    finish: str
    blocked: str
    usage: Usage


class BudgetSpentError(Exception):
    """The next request could exceed the budget, so it was not sent."""


class Ledger:
    """Answers and the budget they were paid from, in a folder that outlives the process.

    The count in the folder is the only one, and changed under a lock: threads, processes and machines may share it.
    """

    def __init__(self, folder: Path, settings: GeminiSettings, redact: Callable[[str], str]) -> None:
        """Start from what earlier runs in the folder, if there is one, asked and spent; `redact` what is written."""
        self._folder, self._settings, self._redact = folder, settings, redact
        self._spent()  # a damaged count is named before anything is asked

    def find(self, name: str) -> Answer | None:
        """The answer kept under that name; a damaged one is refused, since to ask again costs again."""
        path = self._folder / f"{name}.json"
        try:
            return Answer.model_validate_json(only_file(path).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValidationError, UnicodeDecodeError):
            raise AgentError(f"{path} is no kept answer; delete it to ask, and pay, again.") from None

    def keep(self, name: str, answer: Answer) -> None:
        """Write an answer, whole or not at all."""
        write_text(make_folder(self._folder) / f"{name}.json", self._redact(answer.model_dump_json(indent=1)))

    def reserve(self, usd: float) -> None:
        """Count one request and set aside the most that it may cost, or raise a `BudgetSpentError`."""
        most = self._settings
        with self._counting() as spent:
            if spent.calls + 1 > most.max_calls:
                raise BudgetSpentError(f"the budget of {most.max_calls} Gemini calls is used up")
            if spent.usd + usd > most.max_usd:
                raise BudgetSpentError(
                    f"the next Gemini call may cost {usd:.3f} USD and {spent.usd:.3f} of the {most.max_usd:.2f} USD "
                    "are spent"
                )
            self._count(spent.calls + 1, spent.usd + usd)

    def settle(self, reserved: float, usd: float) -> None:
        """Replace a reservation by what the request cost (0 for one that the server refused)."""
        with self._counting() as spent:
            self._count(spent.calls, max(0.0, spent.usd - reserved + usd))

    @contextmanager
    def _counting(self) -> Iterator[Usage]:
        """What was spent, which nobody else changes in the block."""
        with FileLock(make_folder(self._folder) / "spent.lock"):
            yield self._spent()

    def _spent(self) -> Usage:
        """What was spent; the answers are the least, where their folder came without a count."""
        path = self._folder / "spent"
        try:
            return Usage.model_validate_json(only_file(path).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            answers = (self.find(path.stem) for path in sorted(self._folder.glob("*.json")))
            return sum((answer.usage for answer in answers if answer is not None), Usage())
        except (OSError, ValidationError, UnicodeDecodeError):
            raise AgentError(f"{path} is not a count of requests; delete it to count the kept answers alone.") from None

    def _count(self, calls: int, usd: float) -> None:
        """Requests under way are written as if they cost the most they may: a kill leaves them at that."""
        write_text(self._folder / "spent", Usage(calls=calls, usd=usd).model_dump_json())
