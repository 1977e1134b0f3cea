"""The benchmark's whole table, as it was recorded: what lesson 06 reads wherever it runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flowedit.errors import OutputError

if TYPE_CHECKING:
    from flowedit.bench.table import BenchTable

FILE = Path(__file__).parent / "recorded" / "quality.json"
"""The copy that comes with the package; the documentation's own has every digit."""
_DIGITS = 4


def table(path: Path = FILE) -> "BenchTable":
    """The recorded table of `flowedit bench quality`: every row, scene and figure that it holds.

    Args:
        path: a table in JSON.

    Raises:
        OutputError: there is no table.
    """
    from flowedit.bench.table import BenchTable

    try:
        return BenchTable.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, ValueError) as error:
        raise OutputError(
            f"No table in {path.name}; make one with `flowedit bench quality`, then build the lessons."
        ) from error


def keep_quality(source: Path, target: Path = FILE) -> Path:
    """Copy the documentation's table into the package, in fewer digits.

    Args:
        source: `docs/quality.json`.
        target: the copy.

    Returns:
        The copy's path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(brief(source.read_text(encoding="utf-8")), encoding="utf-8")
    return target


def brief(text: str) -> str:
    """A table in JSON, rounded, without what follows from the single scores and without what was not measured."""
    whole = json.loads(text)
    scores = [row | {"figures": _short(row["figures"])} for row in whole["scores"]]
    return json.dumps({"about": whole["about"], "scores": scores}, separators=(",", ":")) + "\n"


def _short(figures: dict[str, float | None]) -> dict[str, float]:
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in figures.items() if value is not None}
