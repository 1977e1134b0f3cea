"""A budget in requests and in money that is kept before a call is made, also by calls made at the same time."""

import threading

from flowedit.agent.events import Usage
from flowedit.agent.settings import GeminiSettings


class BudgetSpentError(Exception):
    """The next call could exceed the budget, so it was not made."""


class Budget:
    """Counts what was spent and what calls under way may still cost."""

    def __init__(self, settings: GeminiSettings, spent: Usage) -> None:
        """Start from what an interrupted run has already spent.

        Args:
            settings: the limits.
            spent: calls and dollars so far.
        """
        self._settings = settings
        self._calls, self._usd, self._held = spent.calls, spent.usd, 0.0
        self._lock = threading.Lock()

    def reserve(self, usd: float) -> None:
        """Count one request and set aside the most that it may cost.

        Raises:
            BudgetSpentError: the limit of requests is reached, or the money left does not cover `usd`.
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

    def settle(self, reserved: float, usd: float) -> None:
        """Replace a reservation by what the call cost (0 for a request that the server refused)."""
        with self._lock:
            self._held -= reserved
            self._usd += usd
