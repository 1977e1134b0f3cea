"""`BenchTable`: scores of rows on cases, and what follows from them: means and paired gains with their intervals."""

import csv
import gzip
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.measures import bootstrap_ci
from flowedit.errors import SettingError

FIGURES: tuple[str, ...] = (
    "psnr_key",
    "psnr_near",
    "psnr_far",
    "psnr_hidden",
    "ssim_key",
    "ssim_near",
    "ssim_far",
    "flicker",
    "drift",
    "edges",
    "warp_error",
    "seconds_per_frame",
)
GLOBAL_FAMILIES = ("global colour", "colour matrix")
"""Families of styles that a fitted colour map reproduces exactly; they are scored, and left out of every claim."""
_KEYS: tuple[str, ...] = ("split", "row", "world", "scene", "family", "condition")


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
    def of(cls, values: np.ndarray) -> "Interval":
        """The interval of values, NaN among them left out."""
        known = values[~np.isnan(values)]
        if not len(known):
            return cls(math.nan, math.nan, math.nan, 0)
        return cls(float(known.mean()), *bootstrap_ci(known, seed=0), len(known))

    def __str__(self) -> str:
        """The mean alone; nothing where nothing was measured."""
        return f"{self.mean:.2f}" if self.cases else ""

    @property
    def signed(self) -> str:
        """The mean with its sign, and the interval; nothing where nothing was measured."""
        return f"{self.mean:+.2f} [{self.low:.2f}, {self.high:.2f}]" if self.cases else ""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The figures of one row on one case; NaN for one that was not measured."""

    split: str
    row: str
    world: str
    scene: int
    family: str
    condition: str
    figures: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other scores of a split."""
        return self.row, self.world, str(self.scene), self.condition


class BenchTable:
    """Scores; of every world and condition, those of styles that no colour map explains unless it says otherwise.

    Args:
        scores: one per row and case.
        split: which split's scenes are asked about.
    """

    def __init__(self, scores: Iterable[Score], split: str = "test") -> None:
        self.split = split
        self.scores = [score for score in scores if score.split == split]

    @property
    def rows(self) -> list[str]:
        """Names of the rows, in the order in which they were scored."""
        return list(dict.fromkeys(score.row for score in self.scores))

    def scenes(self, world: str = "own", condition: str = "exact") -> int:
        """How many scenes of a world were scored under a condition, those of global colour among them."""
        return len({score.scene for score in self.scores if (score.world, score.condition) == (world, condition)})

    def families(self, world: str = "own") -> list[str]:
        """The families of styles of a world, in the order of the scenes."""
        there = sorted((score for score in self.scores if score.world == world), key=lambda score: score.scene)
        return list(dict.fromkeys(score.family for score in there))

    def found(self, row: str, world: str, condition: str) -> list[Score]:
        """A row's scores, in the order of the scenes, those of global colour among them."""
        return self._places.get((row, world, condition), [])

    def values(self, row: str, figure: str, world: str, condition: str, family: str | None = None) -> np.ndarray:
        """A row's values of a figure, in the order of the scenes.

        Args:
            row: its name.
            figure: one of `FIGURES`.
            world: where the clips come from.
            condition: how the keyframes were made.
            family: of styles; None for all but those of global colour.
        """
        found = self.found(row, world, condition)
        wanted = [s for s in found if (s.family not in GLOBAL_FAMILIES if family is None else s.family == family)]
        return np.asarray([score.figures[figure] for score in wanted])

    @cached_property
    def _places(self) -> dict[tuple[str, str, str], list[Score]]:
        places: dict[tuple[str, str, str], list[Score]] = {}
        for score in sorted(self.scores, key=lambda score: score.scene):
            places.setdefault((score.row, score.world, score.condition), []).append(score)
        return places

    def mean(self, row: str, figure: str = "psnr_far", world: str = "own", condition: str = "exact") -> Interval:
        """A row's mean of a figure."""
        return Interval.of(self.values(row, figure, world, condition))

    def gain(
        self, row: str, over: str, figure: str = "psnr_far", world: str = "own", condition: str = "exact"
    ) -> Interval:
        """Paired difference of two rows, case by case.

        Raises:
            SettingError: the rows were not scored on the same cases.
        """
        ours, theirs = (self.values(name, figure, world, condition) for name in (row, over))
        if len(ours) != len(theirs):
            raise SettingError(f"{row} was scored on {len(ours)} cases and {over} on {len(theirs)}; run both on all.")
        return Interval.of(ours - theirs)


def write_scores(scores: Iterable[Score], path: Path) -> None:
    """Write scores as compressed CSV, the same bytes for the same scores; six digits, and nothing for NaN."""
    text = io.StringIO()
    writer = csv.DictWriter(text, (*_KEYS, *FIGURES), lineterminator="\n")
    writer.writeheader()
    for score in sorted(scores, key=lambda s: (s.split, s.world, s.condition, s.scene)):
        figures = {name: f"{value:.6g}" for name, value in score.figures.items() if not math.isnan(value)}
        writer.writerow({key: getattr(score, key) for key in _KEYS} | figures)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def read_scores(path: Path) -> list[Score]:
    """Read what `write_scores` wrote.

    Raises:
        SettingError: a file that is missing or holds no scores.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            return [_score(line) for line in csv.DictReader(stream)]
    except (OSError, EOFError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise SettingError(f"{path} holds no scores of `python -m benchmarks quality` ({error!r}); run it.") from None


def _score(line: dict[str, str]) -> Score:
    figures = {name: float(line[name] or "nan") for name in FIGURES}
    return Score(figures=figures, **{**{key: line[key] for key in _KEYS}, "scene": int(line["scene"])})
