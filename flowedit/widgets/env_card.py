"""Does it work here? Lights for the page and for the way to the kernel and back, versions, device and memory."""

import traitlets

from flowedit.show.display import table_tag
from flowedit.widgets._base import FlowWidget
from flowedit.widgets._probe import report
from flowedit.widgets.export import script, style


class EnvCard(FlowWidget):
    """A card that tests the way from page to kernel and back, and says what the machine has.

    It never fails when something is missing: it says what, and what to do.

    Attributes:
        rows: the report, one dict per line with `name`, `value`, `state` ("ok", "warn" or "info") and `hint`.
        ask: number the page writes to test the way to the kernel, which then looks at the machine again.
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
        super().__init__(**{"heading": "Your environment", **traits})
        self.refresh()

    @property
    def ready(self) -> bool:
        """Whether nothing that the lessons need is missing."""
        return not any(row["state"] == "warn" for row in self.rows)

    def refresh(self) -> None:
        """Look again."""
        self.rows = [row._asdict() for row in report()]

    @traitlets.observe("ask")
    def _reply(self, change: traitlets.Bunch) -> None:
        self.refresh()
        self.answer = change["new"]

    def _still(self) -> str:
        words = "✓ Ready" if self.ready else "! Something is missing"
        rows = [(row["name"], row["value"], row["hint"]) for row in self.rows]
        return f"<p>{words}</p>" + table_tag("What this machine has", ("part", "found", "what to do"), rows)
