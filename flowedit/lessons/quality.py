"""The benchmark's whole table, as it was recorded: what lesson 06 reads wherever it runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flowedit.errors import OutputError

if TYPE_CHECKING:
    from benchmarks.table import BenchTable

FILE = Path(__file__).parent / "recorded" / "quality.json"
"""The copy that comes with the package; the documentation's own has every digit."""
_DIGITS = 4
_PLACE = ("row", "world", "scene", "family", "condition")
"""What a score begins with in the copy; its figures follow."""


def table(path: Path = FILE) -> "BenchTable":
    """The recorded table of `python -m benchmarks quality`: every row, scene and figure that it holds.

    Args:
        path: a table in JSON.

    Raises:
        OutputError: there is no table.
    """
    from benchmarks.table import BenchTable

    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        scores = [
            {
                **dict(zip(_PLACE, row, strict=False)),
                "figures": dict(zip(kept["figures"], row[len(_PLACE) :], strict=True)),
            }
            for row in kept["scores"]
        ]
        return BenchTable.from_dict({"about": kept["about"], "scores": scores})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"No table in {path.name}; make one with `python -m benchmarks quality`, then build the lessons."
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
    """A table in JSON, rounded, a list a score and its figures' names once, without what follows from the scores."""
    whole = json.loads(text)
    names = list(whole["scores"][0]["figures"]) if whole["scores"] else []
    scores = [
        [*(row[part] for part in _PLACE), *(_short(row["figures"][name]) for name in names)] for row in whole["scores"]
    ]
    kept = {"about": whole["about"], "figures": names, "scores": scores}
    return json.dumps(kept, separators=(",", ":")) + "\n"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
