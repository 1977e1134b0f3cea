"""`BenchTable`: scores of rows on cases, their means with bootstrapped intervals, and how they read."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cases import Condition, World
from benchmarks.rows import CLASSICAL_ROWS
from flowedit.display import Displayed, table_tag
from flowedit.errors import SettingError
from flowedit.metrics import bootstrap_ci
from flowedit.tiny.styles import Family

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = (
    "psnr_key",
    "psnr_near",
    "psnr_far",
    "psnr_disoccluded",
    "ssim_key",
    "ssim_near",
    "ssim_far",
    "flicker",
    "drift",
    "edges",
    "warp_error",
    "seconds_per_frame",
)
OF_CEILING = FIGURES[:-1]
"""Figures that a summary also gives as a share of what the truth keeps when it goes through the autoencoder: all but
the seconds."""
GLOBAL_FAMILIES = (str(Family.GLOBAL), "colour matrix")
"""Families of styles that a fitted colour map reproduces exactly; they are reported, not claimed."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The figures of one row on one case."""

    row: str
    world: str
    scene: int
    family: str
    condition: str
    figures: dict[str, float]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Score":
        """A score that was stored; nulls and figures that were not measured then are NaN."""
        known = {name: math.nan if value is None else value for name, value in data["figures"].items()}
        return cls(**{**data, "figures": {**dict.fromkeys(FIGURES, math.nan), **known}})

    @property
    def case(self) -> tuple[str, int, str]:
        """What makes the case unique."""
        return self.world, self.scene, self.condition


@dataclass(kw_only=True)
class BenchTable(Displayed):
    """Scores, and what follows from them; a notebook shows the means with their intervals.

    Attributes:
        scores: one per row and case.
        about: what was run: seed, scenes, model, versions.
    """

    scores: list[Score] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> list[str]:
        """Names of the rows, in the order in which they were scored."""
        return list(dict.fromkeys(score.row for score in self.scores))

    def values(self, row: str, figure: str, *, world: str = World.OWN, condition: str = Condition.EXACT) -> np.ndarray:
        """A row's values of a figure over the cases of one world and condition, in the order of the scenes."""
        return np.asarray([s.figures[figure] for s in self._places.get((row, world, condition), ())])

    def nonglobal(self, row: str, *, world: str = World.OWN, condition: str = Condition.EXACT) -> np.ndarray:
        """`psnr_far` on the styles that no colour map explains."""
        return self.nonglobal_values(row, "psnr_far", world=world, condition=condition)

    def nonglobal_values(self, row: str, figure: str, *, world: str, condition: str) -> np.ndarray:
        """A figure over the cases whose style is not a global colour edit."""
        found = self._places.get((row, world, condition), ())
        return np.asarray([s.figures[figure] for s in found if s.family not in GLOBAL_FAMILIES])

    @cached_property
    def _places(self) -> dict[tuple[str, str, str], list[Score]]:
        """Scores of each row, world and condition, in the order of the scenes; made once, of scores that then stay."""
        places: dict[tuple[str, str, str], list[Score]] = {}
        for score in sorted(self.scores, key=lambda score: score.scene):
            places.setdefault((score.row, score.world, score.condition), []).append(score)
        return places

    def of_ceiling(
        self, row: str, figure: str, *, world: str = World.OWN, condition: str = Condition.EXACT
    ) -> np.ndarray:
        """A figure over that of the row `ceiling`, case by case, on the non-global styles; empty without that row."""
        ours, best = (
            self.nonglobal_values(name, figure, world=world, condition=condition) for name in (row, "ceiling")
        )
        return ours / np.where(best == 0, np.nan, best) if len(ours) == len(best) else np.empty(0)

    def best_classical(self, *, world: str = World.OWN) -> str:
        """The classical row with the best far frames on the styles that no colour map explains.

        Raises:
            SettingError: no classical row was run.
        """
        present = [row for row in CLASSICAL_ROWS if len(self.nonglobal(row, world=world))]
        if not present:
            raise SettingError(f"No classical row was run on the world {world}; add {', '.join(CLASSICAL_ROWS)}.")
        return max(present, key=lambda row: float(self.nonglobal(row, world=world).mean()))

    def summary(self, *, world: str = World.OWN) -> dict[str, dict[str, Any]]:
        """Every row's means with 95 % intervals, and `best_classical` beside them.

        For PSNR, `best_classical` has the best classical row of each figure apart; its other figures are those of the
        row that is best far from keyframes.
        """
        table = {row: self._row_summary(row, world) for row in self.rows}
        present = [row for row in CLASSICAL_ROWS if len(self.nonglobal(row, world=world))]
        if present:
            best = self.best_classical(world=world)
            table["best_classical"] = {"row": best, **table[best], **_best_psnr([table[row] for row in present])}
        return {name.replace(" ", "_"): entry for name, entry in table.items()}

    def _row_summary(self, row: str, world: str) -> dict[str, Any]:
        entry = {figure: _mean_ci(self.values(row, figure, world=world)) for figure in FIGURES}
        entry["psnr_far_nonglobal"] = _mean_ci(self.nonglobal(row, world=world))
        disagreeing = self.nonglobal(row, world=world, condition=Condition.DISAGREEING)
        entry["psnr_disagreeing"] = _mean_ci(disagreeing)
        for figure in OF_CEILING:
            entry[f"{figure}_of_ceiling"] = _mean_ci(self.of_ceiling(row, figure, world=world))
        entry["psnr_sparse"] = _mean_ci(self.nonglobal(row, world=world, condition=Condition.SPARSE))
        return entry

    def gain(self, row: str, over: str, figure: str = "psnr_far", **where: str) -> dict[str, Any]:
        """Paired difference of two rows on the non-global styles, with its interval.

        Args:
            row: the better row, as one hopes.
            over: the row to beat.
            figure: what is compared.
            where: `world` and `condition`; the project's own and exact when left out.
        """
        place = {"world": str(World.OWN), "condition": str(Condition.EXACT), **where}
        ours, theirs = (self.nonglobal_values(name, figure, **place) for name in (row, over))
        if len(ours) != len(theirs):
            raise SettingError(f"{row} was scored on {len(ours)} cases and {over} on {len(theirs)}; run both on all.")
        return _mean_ci(ours - theirs)

    def to_markdown(
        self, figures: Sequence[str] = ("psnr_key", "psnr_far_nonglobal", "flicker"), world: str = World.OWN
    ) -> str:
        """A table of means and intervals, best far frames first."""
        summary = self.summary(world=world)
        order = sorted((n for n in summary if n != "best_classical"), key=lambda n: -_rank(summary[n]))
        lines = [f"| row | {' | '.join(figures)} |", "|---|" + "---|" * len(figures)]
        for name in order:
            cells = " | ".join(_cell(summary[name][figure]) for figure in figures)
            lines.append(f"| {name.replace('_', ' ')} | {cells} |")
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """One line per row and case."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("row", "world", "scene", "family", "condition", *FIGURES))
        for s in self.scores:
            figures = (f"{s.figures[name]:.4f}" for name in FIGURES)
            writer.writerow((s.row, s.world, s.scene, s.family, s.condition, *figures))
        return buffer.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON: `about`, `summary` per world, and the single scores."""
        worlds = list(dict.fromkeys(s.world for s in self.scores))
        return {
            "about": self.about,
            "summary": self.summary(world=worlds[0]) if worlds else {},
            "worlds": {world: self.summary(world=world) for world in worlds},
            "scores": [
                {"row": s.row, "world": s.world, "scene": s.scene, "family": s.family, "condition": s.condition}
                | {"figures": s.figures}
                for s in self.scores
            ],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "BenchTable":
        """The inverse of `to_dict`; nulls become NaN."""
        return cls(scores=[Score.from_dict(row) for row in data["scores"]], about=data["about"])

    def plot(
        self, figure: str = "psnr_far_nonglobal", *, world: str = World.OWN, rows: Sequence[str] | None = None
    ) -> "Figure":
        """A figure's mean and interval for every row, the highest above; rows without a case are left out.

        Args:
            figure: one of the figures of `summary`.
            world: which world's cases.
            rows: only these rows; all of them without.

        Raises:
            SettingError: no such figure.
        """
        from flowedit.figures import intervals_figure

        summary = self.summary(world=world)
        known = sorted({name for entry in summary.values() for name in entry} - {"row"})
        if summary and figure not in known:
            raise SettingError(f"No figure {figure!r}; a table holds {', '.join(known)}.")
        wanted = {row.replace(" ", "_") for row in (self.rows if rows is None else rows)}
        means = {name: summary[name][figure] for name in summary if name in wanted}
        found = {
            name.replace("_", " "): (e["mean"], e["low"], e["high"])
            for name, e in means.items()
            if e["mean"] is not None
        }
        label = figure.removesuffix("_nonglobal").replace("_", " ").replace("psnr", "PSNR in dB,")
        return intervals_figure(found, f"{label} (world {world})")

    def _words(self) -> str:
        return f"{len(self.rows)} rows on {len({score.case for score in self.scores})} cases"

    def _alternative(self) -> str:
        return "Mean PSNR far from the keyframes with its interval, for every row"

    def _facts(self) -> str:
        lines = [line for line in self.to_markdown().splitlines() if not line.startswith("|---")]
        head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        return table_tag("Means and 95 % intervals", head, rows)


def _mean_ci(values: np.ndarray) -> dict[str, Any]:
    known = values[~np.isnan(values)] if len(values) else values
    if not len(known):
        return {"mean": None, "low": None, "high": None, "cases": 0}
    low, high = bootstrap_ci(known, seed=0)
    return {"mean": float(known.mean()), "low": float(low), "high": float(high), "cases": len(known)}


def _best_psnr(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The highest mean of each PSNR figure."""
    names = [name for name in entries[0] if name.startswith("psnr") and not name.endswith("_of_ceiling")]
    known = {name: [entry[name] for entry in entries if entry[name]["mean"] is not None] for name in names}
    return {name: max(found, key=lambda entry: entry["mean"]) for name, found in known.items() if found}


def _rank(entry: dict[str, Any]) -> float:
    mean = entry["psnr_far_nonglobal"]["mean"]
    return -math.inf if mean is None else mean


def _cell(entry: dict[str, Any]) -> str:
    if entry["mean"] is None:
        return ""
    return f"{entry['mean']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"
