"""Does it work here? Lights for the page, the kernel and the way between them, versions, device and memory."""

import html

import traitlets

from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget, Table
from flowedit.widgets._probe import report


class EnvCard(FlowWidget):
    """A card that tests the way from page to kernel and back, and says what the machine has.

    It never fails when something is missing: it says what, and what to do.

    Attributes:
        rows: the report, one dict per line with `name`, `value`, `state` ("ok", "warn" or "info") and `hint`.
        ask: number the page writes to test the way to the kernel.
        answer: the same number, written back by the kernel.

    >>> EnvCard().ready
    True
    """

    _esm = script("env_card")
    _css = style("env_card")

    rows = traitlets.List().tag(sync=True)
    ask = traitlets.Int(0).tag(sync=True)
    answer = traitlets.Int(0).tag(sync=True)

    def __init__(self, **traits: object) -> None:
        """Look at the machine.

        Args:
            **traits: `heading` and `note`.
        """
        super().__init__(rows=_rows(), **{"heading": "Your environment", **traits})
        self.on_msg(self._on_message)

    @classmethod
    def example(cls) -> "EnvCard":
        """This machine."""
        return cls()

    @property
    def ready(self) -> bool:
        """Whether nothing that the lessons need is missing."""
        return not any(row["state"] == "warn" for row in self.rows)

    @property
    def text(self) -> str:
        """The report as plain text, for an issue or an email; it holds no path, name or key."""
        lines = [f"{row['name']}: {row['value']}" + (f" ({row['hint']})" if row["hint"] else "") for row in self.rows]
        return "\n".join(lines)

    def refresh(self) -> None:
        """Look again."""
        self.rows = _rows()

    @traitlets.observe("ask")
    def _reply(self, change: traitlets.Bunch) -> None:
        self.answer = change["new"]

    def _on_message(self, _: object, content: object, __: object) -> None:
        """Answer the page's ping, or look again."""
        if not isinstance(content, dict):
            return
        kind = content.get("type")
        if kind == "refresh":
            self.refresh()
        if kind in ("ping", "refresh"):
            self.send({"type": "pong", "token": content.get("token")})

    def _picture(self) -> str:
        colour, words = ("#2b7338", "Ready") if self.ready else ("#8a5200", "Something is missing")
        return (
            '<svg width="220" height="32" viewBox="0 0 220 32" role="img" '
            f'aria-label="{words}"><circle cx="16" cy="16" r="8" fill="{colour}"/>'
            f'<text x="32" y="21" font-size="14" fill="currentColor">{html.escape(words)}</text></svg>'
        )

    def _table(self) -> Table:
        rows = [(row["name"], row["value"], row["hint"]) for row in self.rows]
        return Table("What this machine has", ("part", "found", "what to do"), rows)


def _rows() -> list[dict[str, str]]:
    return [row._asdict() for row in report()]
