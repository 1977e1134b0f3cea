"""A budget in requests and in money, kept before a call is made: across threads, and across kills and resumes."""

import threading
from pathlib import Path

from pydantic import ValidationError

from flowedit.agent.events import Usage
from flowedit.agent.settings import GeminiSettings
from flowedit.errors import AgentError, OutputError


class BudgetSpentError(Exception):
    """The next call could exceed the budget, so it was not made."""


class Budget:
    """Counts what was spent and what calls under way may still cost, in a file that outlives the process."""

    def __init__(self, settings: GeminiSettings, ledger: Path, answered: Usage) -> None:
        """Start from what earlier runs in the folder have already spent.

        Args:
            settings: the limits.
            ledger: file of the count, written before each request; it need not be there yet.
            answered: what the kept answers took: the least that was spent, where their folder came without a count.

        Raises:
            AgentError: the file is damaged.
        """
        self._settings, self._ledger = settings, ledger
        counted = _counted(ledger)
        self._calls, self._usd = max(counted.calls, answered.calls), max(counted.usd, answered.usd)
        self._held = 0.0
        self._lock = threading.Lock()

    def reserve(self, usd: float) -> None:
        """Count one request and set aside the most that it may cost.

        Raises:
            BudgetSpentError: the limit of requests is reached, or the money left does not cover `usd`.
            OutputError: the count cannot be written.
        """
        with self._lock:
            if self._calls + 1 > self._settings.max_calls:
                raise BudgetSpentError(f"the budget of {self._settings.max_calls} Gemini calls is used up")
            if self._usd + self._held + usd > self._settings.max_usd:
                raise BudgetSpentError(
                    f"the next Gemini call may cost {usd:.3f} USD and {self._usd:.3f} of the "
                    f"{self._settings.max_usd:.2f} USD are spent"
                )
            self._calls += 1
            self._held += usd
            self._write()

    def settle(self, reserved: float, usd: float) -> None:
        """Replace a reservation by what the call cost (0 for a request that the server refused).

        Raises:
            OutputError: the count cannot be written.
        """
        with self._lock:
            self._held -= reserved
            self._usd += usd
            self._write()

    def _write(self) -> None:
        """Calls under way are written as if they cost the most they may: a kill leaves them at that."""
        part = self._ledger.with_name(f".{self._ledger.name}.part")
        try:
            self._ledger.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(Usage(calls=self._calls, usd=self._usd + self._held).model_dump_json(), encoding="utf-8")
            part.replace(self._ledger)
        except OSError as error:
            reason = " ".join(str(error).split())
            raise OutputError(
                f"Cannot write {self._ledger} ({reason}); choose another folder or free some space."
            ) from None


def _counted(ledger: Path) -> Usage:
    try:
        return Usage.model_validate_json(ledger.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Usage()
    except (OSError, ValidationError, UnicodeDecodeError):
        raise AgentError(f"{ledger} is not a count of requests; delete it to count the kept answers alone.") from None
