"""Tables of the quality benchmark as Markdown: what is asked, means of rows, gains, and the families of styles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.table import BenchTable, Interval
from flowedit.errors import SettingError

WORLDS = {"own": "own world", "exam": "reference world", "natural": "photographs", "film": "films"}
CONDITIONS = ("exact", "disagreeing", "sparse")
CLASSICAL = ("source", "colour map", "propagation")
MEANS = {
    "psnr_key": "at keyframes",
    "psnr_near": "near",
    "psnr_far": "far",
    "psnr_hidden": "hidden places",
    "ssim_far": "SSIM far",
    "flicker": "flicker",
    "warp_error": "warp error",
    "seconds_per_frame": "s a frame",
}
_SECONDS = "seconds_per_frame"


@dataclass(frozen=True)
class Target:
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
    columns = {head: [_cell(table, row, figure, world, condition) for row in order] for figure, head in MEANS.items()}
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    return markdown(("row", *columns), zip(order, *columns.values(), strict=True))


def _cell(table: BenchTable, row: str, figure: str, world: str, condition: str) -> str:
    """Seconds are those of the one case that was timed, whatever its style."""
    if figure != _SECONDS:
        return str(table.mean(row, figure, world, condition))
    timed = [s.figures[figure] for s in table.scores if (s.row, s.world, s.condition) == (row, world, condition)]
    known = [seconds for seconds in timed if seconds == seconds]
    return f"{known[0]:.2f}" if known else ""


def gains(
    table: BenchTable, ours: str, over: Sequence[str], figures: Sequence[str] = ("psnr_far", "psnr_hidden")
) -> str:
    """What a row gains over others in the own world, under every condition it was run in."""
    there = {s.condition for s in table.scores if s.world == "own"}
    places = [(figure, condition) for condition in CONDITIONS if condition in there for figure in figures]
    heads = [f"{MEANS[figure]}, {condition}" for figure, condition in places]
    rows = [(row, *(_said(table, ours, row, *place) for place in places)) for row in over]
    return markdown((f"{ours} against", *heads), rows)


def shares(table: BenchTable, ours: str, over: str, figure: str = "psnr_far") -> str:
    """What one row gains over another in every world and condition, a line a world."""
    rows = [(WORLDS[w], *(_said(table, ours, over, figure, c, w) for c in CONDITIONS)) for w in WORLDS]
    return markdown((f"{ours} over {over}", *CONDITIONS), rows)


def families(table: BenchTable, rows: Sequence[str], world: str = "own", condition: str = "exact") -> str:
    """Far frames of each family of styles, a line a row."""
    names = table.families(world)
    lines = [[row, *(_mean(table.values(row, "psnr_far", world, condition, name)) for name in names)] for row in rows]
    return markdown(("row", *names), lines)


def markdown(heads: Sequence[object], rows: "Iterator[Sequence[object]] | Sequence[Sequence[object]]") -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _said(table: BenchTable, ours: str, over: str, figure: str, condition: str, world: str = "own") -> str:
    gain = _gain(table, ours, over, figure, world, condition)
    return gain.signed if gain else ""


def _gain(table: BenchTable, ours: str, over: str, figure: str, world: str, condition: str) -> Interval | None:
    """The gain, or None where the rows were not run on the same cases."""
    try:
        gain = table.gain(ours, over, figure, world, condition)
    except SettingError:
        return None
    return gain if gain.cases else None


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.2f}" if len(values) else ""
