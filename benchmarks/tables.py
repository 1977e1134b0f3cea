"""Tables of the quality benchmark as Markdown: what is asked, means of rows, gains, and the families of styles."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.table import BenchTable, Interval

WORLDS = {"own": "own scenes", "photograph": "photographs", "film": "films"}
CONDITIONS = ("exact", "disagreeing", "sparse")
CLASSICAL = ("source", "colour map", "propagation")
MEANS = {
    "psnr_key": "at keyframes",
    "psnr_near": "near",
    "psnr_far": "far",
    "psnr_hidden": "hidden places",
    "ssim": "SSIM",
    "sharpness": "sharpness",
    "temporal": "temporal error",
    "flicker": "flicker",
}


class Target(NamedTuple):
    """A gain in dB that is asked of the default.

    Attributes:
        words: what is asked, as the page says it.
        over: the rows to beat, all of them.
        figure: what is compared.
        condition: of the keyframes.
        least: the smallest mean that reaches it.
    """

    words: str
    over: tuple[str, ...]
    figure: str
    condition: str
    least: float


TARGETS = (
    Target("over the best classical row, far, exact", CLASSICAL, "psnr_far", "exact", 1.0),
    Target("over the best classical row, hidden, exact", CLASSICAL, "psnr_hidden", "exact", 3.0),
    Target("over the best classical row, far, disagreeing", CLASSICAL, "psnr_far", "disagreeing", 2.0),
    Target("the model over the estimate, far, exact", ("estimate",), "psnr_far", "exact", -0.05),
    Target("the model over the estimate, hidden, exact", ("estimate",), "psnr_hidden", "exact", 1.0),
    Target("the model over the estimate, far, disagreeing", ("estimate",), "psnr_far", "disagreeing", 1.0),
    Target("the model over the estimate, far, sparse", ("estimate",), "psnr_far", "sparse", 1.0),
)


def targets(table: BenchTable, ours: str = "default") -> str:
    """What is asked of a row, a line each, with a column per world."""
    worlds = [world for world in WORLDS if any(score.world == world for score in table.scores)]
    rows = [
        (f"{target.words}: {target.least:g} dB", *(_reached(table, ours, target, world) for world in worlds))
        for target in TARGETS
    ]
    return markdown(("asked, and the paired difference in dB", *(WORLDS[world] for world in worlds)), rows)


def _reached(table: BenchTable, ours: str, target: Target, world: str) -> str:
    gains = [table.gain(ours, row, target.figure, world, target.condition) for row in target.over]
    known = [gain for gain in gains if gain.cases]
    if not known:
        return "not known"
    worst = min(known, key=lambda gain: gain.mean)
    return worst.signed if worst.mean >= target.least else f"**{worst.signed}, missed**"


def means(table: BenchTable, world: str = "own", condition: str = "exact", rows: Sequence[str] | None = None) -> str:
    """A line a row, the best far frames first, and a column a figure; those that no row has are left out."""
    far = {row: table.mean(row, "psnr_far", world, condition) for row in rows or table.rows}
    order = sorted((row for row in far if far[row].cases), key=lambda row: -far[row].mean)
    columns = {head: [str(table.mean(row, name, world, condition)) for row in order] for name, head in MEANS.items()}
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
    return markdown(("world", f"{ours} over", *(f"{MEANS[figure]}, {kind}" for kind in CONDITIONS)), lines)


def families(table: BenchTable, rows: Sequence[str], world: str = "own", condition: str = "exact") -> str:
    """Far frames of each family of styles, a line a row."""
    names = table.families(world)
    values = [[table.values(row, "psnr_far", world, condition, name) for name in names] for row in rows]
    lines = [
        (row, *(Interval.of(np.asarray([*found.values()])) for found in line))
        for row, line in zip(rows, values, strict=True)
    ]
    return markdown(("row", *names), lines)


def markdown(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
