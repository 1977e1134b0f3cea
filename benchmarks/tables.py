"""Tables of the quality benchmark as Markdown: what is asked, means of rows, gains, and the families of styles."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.table import BenchTable, Interval
from flowedit.errors import SettingError

WORLDS = {"own": "own world", "exam": "reference world", "natural": "photographs", "film": "films"}
CONDITIONS = ("exact", "disagreeing", "sparse")
CLASSICAL = ("source", "colour map", "propagation")
TELLING = ("source", "ceiling", "colour map", "propagation", "estimate", "method", "draft", "default")
MEANS = {
    "psnr_key": "at keyframes",
    "psnr_near": "near",
    "psnr_far": "far",
    "psnr_hidden": "hidden places",
    "ssim_far": "SSIM far",
    "flicker": "flicker",
    "warp_error": "warp error",
}


class Target(NamedTuple):
    """A gain in dB that is asked of the default.

    Attributes:
        words: what is asked, as the page says it.
        over: the rows to beat, all of them.
        figure: what is compared.
        condition: of the keyframes.
        least: the smallest mean that reaches it; the interval must leave 0 out, too.
    """

    words: str
    over: tuple[str, ...]
    figure: str
    condition: str
    least: float


TARGETS = (
    Target("far from exact keyframes, over the best classical row", CLASSICAL, "psnr_far", "exact", 1.0),
    Target("hidden places, exact, over the best classical row", CLASSICAL, "psnr_hidden", "exact", 3.0),
    Target("far from disagreeing keyframes, over the best classical row", CLASSICAL, "psnr_far", "disagreeing", 2.0),
    Target("at exact keyframes, over the autoencoder's ceiling", ("ceiling",), "psnr_key", "exact", 0.0),
    Target("the model, far from exact keyframes, over the estimate", ("estimate",), "psnr_far", "exact", 0.0),
    Target("the model, far from disagreeing ones, over the estimate", ("estimate",), "psnr_far", "disagreeing", 1.0),
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
    gains = [gain for row in target.over if (gain := _gain(table, ours, row, target.figure, world, target.condition))]
    if not gains:
        return "not known"
    worst = min(gains, key=lambda gain: gain.mean)
    reached = worst.mean >= target.least and worst.low > 0
    return worst.signed if reached else f"**{worst.signed}, missed**"


def means(table: BenchTable, world: str = "own", condition: str = "exact", rows: Sequence[str] | None = None) -> str:
    """A line a row, the best far frames first, and a column a figure; those that no row has are left out."""
    far = {row: table.mean(row, "psnr_far", world, condition) for row in rows or table.rows}
    order = sorted((row for row in far if far[row].cases), key=lambda row: -far[row].mean)
    columns = {head: [str(table.mean(row, name, world, condition)) for row in order] for name, head in MEANS.items()}
    columns["s a frame"] = [_seconds(table, row, world, condition) for row in order]
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    return markdown(("row", *columns), zip(order, *columns.values(), strict=True))


def _seconds(table: BenchTable, row: str, world: str, condition: str) -> str:
    """Mean of what was timed, whatever the style."""
    timed = [score.figures["seconds_per_frame"] for score in table.found(row, world, condition)]
    return "" if np.isnan(timed).all() else f"{np.nanmean(timed):.2f}"


def gains(
    table: BenchTable, ours: str, over: Sequence[str], figures: Sequence[str] = ("psnr_far", "psnr_hidden")
) -> str:
    """What a row gains over others in the own world, under every condition it was run in."""
    there = {score.condition for score in table.scores if score.world == "own"}
    places = [(figure, condition) for condition in CONDITIONS if condition in there for figure in figures]
    heads = [f"{MEANS[figure]}, {condition}" for figure, condition in places]
    rows = [(row, *(_said(table, ours, row, figure, "own", kind) for figure, kind in places)) for row in over]
    return markdown((f"{ours} against", *heads), rows)


def shares(table: BenchTable, ours: str, over: str, figure: str = "psnr_far") -> str:
    """What one row gains over another in every world and condition, a line a world."""
    rows = [
        (words, *(_said(table, ours, over, figure, world, c) for c in CONDITIONS)) for world, words in WORLDS.items()
    ]
    return markdown((f"{ours} over {over}", *CONDITIONS), rows)


def families(table: BenchTable, rows: Sequence[str], world: str = "own", condition: str = "exact") -> str:
    """Far frames of each family of styles, a line a row."""
    names = table.families(world)
    values = [[table.values(row, "psnr_far", world, condition, name) for name in names] for row in rows]
    lines = [(row, *(Interval.of(found) for found in line)) for row, line in zip(rows, values, strict=True)]
    return markdown(("row", *names), lines)


def markdown(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _said(table: BenchTable, ours: str, over: str, figure: str, world: str, condition: str) -> str:
    gain = _gain(table, ours, over, figure, world, condition)
    return gain.signed if gain else ""


def _gain(table: BenchTable, ours: str, over: str, figure: str, world: str, condition: str) -> Interval | None:
    """The gain, or None where the rows were not run on the same cases."""
    try:
        gain = table.gain(ours, over, figure, world, condition)
    except SettingError:
        return None
    return gain if gain.cases else None
