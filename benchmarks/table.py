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
    "ssim",
    "sharpness",
    "temporal",
    "flicker",
)
GLOBAL_FAMILY = "global colour"
"""The family of styles that a fitted colour map reproduces exactly; it is scored, and left out of every claim."""
_KEYS: tuple[str, ...] = ("split", "row", "world", "scene", "family", "condition", "draw", "weights")


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
    """The figures of one row on one case, NaN where the world cannot tell; `weights` marks a model's."""

    split: str
    row: str
    world: str
    scene: int
    family: str = ""
    condition: str
    draw: int = 0
    weights: str = ""
    figures: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from all other scores."""
        return self.split, self.row, self.weights, self.world, str(self.scene), self.condition, str(self.draw)


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

    def values(self, row: str, figure: str, world: str, condition: str, family: str | None = None) -> dict[int, float]:
        """A row's values of a figure by scene, the mean over its draws.

        Args:
            row: its name.
            figure: one of `FIGURES`.
            world: where the clips come from.
            condition: how the keyframes were made.
            family: of styles; None for all but those of global colour.
        """
        found = self._places.get((row, world, condition), [])
        wanted = [s for s in found if (s.family != GLOBAL_FAMILY if family is None else s.family == family)]
        drawn: dict[int, list[float]] = {}
        for score in wanted:
            drawn.setdefault(score.scene, []).append(score.figures[figure])
        return {scene: float(np.mean(values)) for scene, values in drawn.items()}

    @cached_property
    def _places(self) -> dict[tuple[str, str, str], list[Score]]:
        places: dict[tuple[str, str, str], list[Score]] = {}
        for score in sorted(self.scores, key=lambda score: score.scene):
            places.setdefault((score.row, score.world, score.condition), []).append(score)
        return places

    def mean(self, row: str, figure: str = "psnr_far", world: str = "own", condition: str = "exact") -> Interval:
        """A row's mean of a figure."""
        return Interval.of(np.asarray([*self.values(row, figure, world, condition).values()]))

    def gain(
        self, row: str, over: str, figure: str = "psnr_far", world: str = "own", condition: str = "exact"
    ) -> Interval:
        """Paired difference of two rows, on the scenes that both were scored on."""
        ours, theirs = (self.values(name, figure, world, condition) for name in (row, over))
        return Interval.of(np.asarray([value - theirs[scene] for scene, value in ours.items() if scene in theirs]))


def write_scores(scores: Iterable[Score], path: Path) -> None:
    """Write scores as compressed CSV, the same bytes for the same scores; six digits, and nothing for NaN."""
    text = io.StringIO()
    writer = csv.DictWriter(text, (*_KEYS, *FIGURES), lineterminator="\n")
    writer.writeheader()
    for score in sorted(scores, key=lambda s: (s.split, s.world, s.condition, s.scene, s.draw)):
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
    numbers = {key: int(line[key]) for key in ("scene", "draw")}
    return Score(figures=figures, **{**{key: line[key] for key in _KEYS}, **numbers})
