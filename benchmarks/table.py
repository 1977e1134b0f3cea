"""`BenchTable`: scores of rows on cases, means and paired gains with their intervals, and the tables that show them."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from flowedit.errors import SettingError

Score = dict[str, Any]
"""The figures of one row on one case, NaN where the world cannot tell, beside its `KEYS`; `weights` marks a model's."""
KEYS = ("split", "row", "world", "scene", "family", "condition", "draw", "weights")
FIGURES = {
    "psnr_key": "at keyframes",
    "psnr_near": "near",
    "psnr_far": "far",
    "psnr_hidden": "hidden places",
    "ssim": "SSIM",
    "sharpness": "sharpness",
    "temporal": "temporal error",
    "flicker": "flicker",
}
"""A score's figures, and their heads in a table."""
WORLDS = {"own": "own scenes", "photograph": "photographs", "film": "films"}
CONDITIONS = ("exact", "disagreeing", "sparse")
GLOBAL_FAMILY = "global colour"
"""The family of styles that a fitted colour map reproduces exactly; it is scored, and left out of every claim."""


class Interval(NamedTuple):
    """A mean with the 95 % interval that resampling the scenes gives; NaN where nothing was measured.

    >>> Interval(4.094, 2.931, 5.27, 30).signed, str(Interval(36.15, 34.5, 37.81, 30))
    ('+4.09 [2.93, 5.27]', '36.15')
    """

    mean: float
    low: float
    high: float
    cases: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Interval":
        """The interval of values, NaN among them left out: the percentile bootstrap of the mean (Efron 1979)."""
        known = np.asarray([value for value in values if not math.isnan(value)])
        low = high = mean = float(known.mean()) if len(known) else math.nan
        if len(known) > 1:
            drawn = {"n_resamples": 10_000, "method": "percentile", "random_state": np.random.default_rng(0)}
            low, high = map(float, bootstrap((known,), np.mean, **drawn).confidence_interval)
        return cls(mean, low, high, len(known))

    def __str__(self) -> str:
        """The mean alone; nothing where nothing was measured."""
        return f"{self.mean:.2f}" if self.cases else ""

    @property
    def signed(self) -> str:
        """The mean with its sign, and the interval; nothing where nothing was measured."""
        return f"{self.mean:+.2f} [{self.low:.2f}, {self.high:.2f}]" if self.cases else ""


class BenchTable:
    """Scores; of every world and condition, those of styles that no colour map explains unless it says otherwise.

    Args:
        scores: one per row and case.
        split: which split's scenes are asked about.
    """

    def __init__(self, scores: Iterable[Score], split: str = "test") -> None:
        whole = pd.DataFrame(scores, columns=[*KEYS, *FIGURES])
        self.split, self.scores = split, whole[whole.split == split]
        self.rows = [*self.scores.row.unique()]
        """Names of the rows, in the order in which they were scored."""

    def _of(self, **wanted: str) -> pd.DataFrame:
        """The scores of some keys, by scene."""
        kept = self.scores
        for key, value in wanted.items():
            kept = kept[kept[key] == value]
        return kept.sort_values("scene", kind="stable")

    def scenes(self, world: str = "own", condition: str = "exact") -> int:
        """How many scenes of a world were scored under a condition, those of global colour among them."""
        return self._of(world=world, condition=condition).scene.nunique()

    def families(self, world: str = "own") -> list[str]:
        """The families of styles of a world, in the order of the scenes."""
        return [*self._of(world=world).family.unique()]

    def values(
        self, row: str, figure: str, world: str, condition: str, family: str | None = None
    ) -> "pd.Series[float]":
        """A row's values of a figure by scene, the mean over its draws.

        Args:
            row: its name.
            figure: one of `FIGURES`.
            world: where the clips come from.
            condition: how the keyframes were made.
            family: of styles; None for all but those of global colour.
        """
        found = self._of(row=row, world=world, condition=condition)
        found = found[found.family != GLOBAL_FAMILY if family is None else found.family == family]
        return found.groupby("scene")[figure].mean()

    def mean(self, row: str, figure: str = "psnr_far", world: str = "own", condition: str = "exact") -> Interval:
        """A row's mean of a figure."""
        return Interval.of(self.values(row, figure, world, condition))

    def gain(
        self, row: str, over: str, figure: str = "psnr_far", world: str = "own", condition: str = "exact"
    ) -> Interval:
        """Paired difference of two rows, on the scenes that both were scored on."""
        return Interval.of(self.values(row, figure, world, condition) - self.values(over, figure, world, condition))


def write_scores(scores: Iterable[Score], path: Path) -> None:
    """Write scores as compressed CSV, the same bytes for the same scores; six digits, and nothing for NaN."""
    frame = pd.DataFrame(scores, columns=[*KEYS, *FIGURES])
    frame = frame.sort_values(["split", "world", "condition", "scene", "draw"], kind="stable")
    frame.to_csv(path, index=False, float_format="%.6g", compression={"method": "gzip", "mtime": 0})


def read_scores(path: Path) -> list[Score]:
    """Read what `write_scores` wrote.

    Raises:
        SettingError: a file that is missing or holds no scores.
    """
    try:
        frame = pd.read_csv(path, dtype={"family": str, "weights": str}, usecols=[*KEYS, *FIGURES])
    except (OSError, EOFError, ValueError) as error:
        raise SettingError(f"{path} holds no scores of `python -m benchmarks quality` ({error!r}); run it.") from None
    return frame.fillna({"family": "", "weights": ""}).to_dict("records")


def means(table: BenchTable, world: str = "own", condition: str = "exact") -> str:
    """A line a row, the best far frames first, and a column a figure; those that no row has are left out."""
    far = {row: table.mean(row, "psnr_far", world, condition) for row in table.rows}
    order = sorted((row for row in far if far[row].cases), key=lambda row: -far[row].mean)
    columns = {head: [str(table.mean(row, name, world, condition)) for row in order] for name, head in FIGURES.items()}
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    return markdown(("row", *columns), zip(order, *columns.values(), strict=True))


def gains(table: BenchTable, ours: str, over: Sequence[str], figure: str = "psnr_far") -> str:
    """What a row gains over others in every world and condition, a line a world and row."""
    lines = [
        (words, row, *(table.gain(ours, row, figure, world, kind).signed for kind in CONDITIONS))
        for world, words in WORLDS.items()
        for row in over
    ]
    lines = [line for line in lines if any(line[2:])]
    return markdown(("world", f"{ours} over", *(f"{FIGURES[figure]}, {kind}" for kind in CONDITIONS)), lines)


def families(table: BenchTable, rows: Sequence[str], world: str = "own", condition: str = "exact") -> str:
    """Far frames of each family of styles, a line a row."""
    names = table.families(world)
    lines = [
        (row, *(Interval.of(table.values(row, "psnr_far", world, condition, name)) for name in names)) for row in rows
    ]
    return markdown(("row", *names), lines)


def markdown(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
