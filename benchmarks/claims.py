"""What a quality table says: means under each condition, paired gains of the default, and the styles apart."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.aims import family_means, to_aims, to_photographs
from benchmarks.cases import Condition, World
from benchmarks.rows import CLASSICAL_ROWS, TELLING_ROWS
from benchmarks.table import BenchTable
from flowedit.errors import SettingError

COMMAND = "python -m benchmarks quality"
MEANS = {
    "psnr_key": "at keyframes",
    "psnr_near": "near",
    "psnr_far": "far",
    "psnr_disoccluded": "hidden places",
    "ssim_key": "SSIM at keyframes",
    "ssim_near": "SSIM near",
    "ssim_far": "SSIM far",
    "flicker": "flicker",
    "drift": "drift",
    "warp_error": "warp error",
    "edges": "edges kept",
}
GAINS = {"psnr_far": "far", "psnr_disoccluded": "hidden places"}
OURS = "default"


def to_page(table: BenchTable) -> str:
    """Everything, as Markdown: for `docs/quality.md`."""
    about = table.about
    lines = [f"{about.get('scenes', '?')} scenes of the {about.get('split', '?')} split, model {about.get('model')}."]
    lines += ["", "**What is asked**, styles other than global colour, paired differences in dB:", "", *to_aims(table)]
    for world in _present(table, "world"):
        for condition in _conditions(table, world):
            title = f"World *{world}*, keyframes *{condition}*"
            lines += ["", f"**{title}**, styles other than global colour, means:", ""]
            lines += _means(table, world, condition)
        gains = list(_gains(table, world))
        if gains:
            lines += ["", f"**World *{world}*: what the default gains**, paired differences in dB:", "", *gains]
    shares = list(_shares(table))
    if shares:
        title = "**What is added to the guess**, far, styles other than global colour, paired differences in dB:"
        lines += ["", title, "", *shares]
    settings = list(_settings(table))
    if settings:
        title = "**What `method` gains by another setting**, world *own*, other than global colour, differences in dB:"
        lines += ["", title, "", *settings]
    photographs = list(to_photographs(table))
    if photographs:
        lines += ["", "**Each photograph apart**: what the default gains far from keyframes, in dB:", "", *photographs]
    return "\n".join([*lines, *_families(table)])


def to_brief(table: BenchTable) -> str:
    """The gains over the classical rows alone, as Markdown: for the README."""
    return "\n".join(_gains(table, World.OWN, CLASSICAL_ROWS[1:]))


def _present(table: BenchTable, field: str) -> list[str]:
    return list(dict.fromkeys(str(getattr(score, field)) for score in table.scores))


def _conditions(table: BenchTable, world: str) -> list[str]:
    return list(dict.fromkeys(s.condition for s in table.scores if s.world == world))


def _means(table: BenchTable, world: str, condition: str) -> Iterator[str]:
    """A line a row, the best far frames first, and a column a figure that any row has there.

    Seconds are those of the case that was timed, whatever its style; all else is of styles other than global colour.
    """
    known = {row: _values(table, row, "psnr_far", world, condition) for row in table.rows}
    ordered = sorted((row for row in known if len(known[row])), key=lambda row: -float(np.nanmean(known[row])))
    columns = {
        head: [_mean(_values(table, row, figure, world, condition)) for row in ordered]
        for figure, head in MEANS.items()
    }
    columns["far / ceiling"] = [
        _mean(table.of_ceiling(row, "psnr_far", world=world, condition=condition)) for row in ordered
    ]
    columns["s a frame"] = [
        _mean(table.values(row, "seconds_per_frame", world=world, condition=condition)) for row in ordered
    ]
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    yield f"| row | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for row, *cells in zip(ordered, *columns.values(), strict=True):
        yield f"| {row} | {' | '.join(cells)} |"


def _gains(table: BenchTable, world: str, over: Sequence[str] | None = None) -> Iterator[str]:
    """One line a row that was run on the same cases as the default, under each condition and figure."""
    places = [(c, f) for c in _conditions(table, world) for f in GAINS]
    rows = []
    for row in over or [row for row in table.rows if row != OURS]:
        cells = [_gain(table, OURS, figure, world, condition, over=row) for condition, figure in places]
        if any(cells):
            rows.append(f"| {row} | {' | '.join(cell or '' for cell in cells)} |")
    if rows:
        yield f"| default against | {' | '.join(f'{GAINS[f]}, {c}' for c, f in places)} |"
        yield "|---" * (len(places) + 1) + "|"
        yield from rows


def _gain(table: BenchTable, row: str, figure: str, world: str, condition: str, *, over: str) -> str | None:
    try:
        return _interval(table.gain(row, over, figure, world=world, condition=condition), "+.2f")
    except SettingError:
        return None


def _shares(table: BenchTable) -> Iterator[str]:
    """What the default and each of its variants gain over the guess, in every world and condition they were run in."""
    rows = [row for row in table.rows if row.split()[0] in (OURS, "draft")]
    places = [(world, condition) for world in _present(table, "world") for condition in _conditions(table, world)]
    cells = {place: {row: _gain(table, row, "psnr_far", *place, over="guess") for row in rows} for place in places}
    cells = {place: found for place, found in cells.items() if any(found.values())}
    if cells:
        yield f"| row | {' | '.join(f'{world}, {condition}' for world, condition in cells)} |"
        yield "|---" * (len(cells) + 1) + "|"
    for row in rows:
        if any(found[row] for found in cells.values()):
            yield f"| {row} | {' | '.join(found[row] or '' for found in cells.values())} |"


def _settings(table: BenchTable) -> Iterator[str]:
    """What each other setting of `method` changes: at keyframes, far from them, in hidden places, and in flicker."""
    rows = [row for row in table.rows if row.startswith(("method ", "kappa "))]
    known = {(s.row, s.condition) for s in table.scores if s.world == World.OWN}
    conditions = [c for c in _conditions(table, World.OWN) if any((row, c) in known for row in rows)]
    if not conditions:
        return
    heads = [f"{where}, {c}" for c in conditions for where in ("at keyframes", "far", "hidden places", "flicker")]
    yield f"| row | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for row in ("method", *rows):
        cells = []
        for c in conditions:
            for figure in ("psnr_key", "psnr_far", "psnr_disoccluded"):
                cells.append("" if row == "method" else _gain(table, row, figure, World.OWN, c, over="method") or "")
            cells.append(_mean(_values(table, row, "flicker", World.OWN, c)))
        if any(cells):
            yield f"| {row} | {' | '.join(cells)} |"


def _families(table: BenchTable) -> Iterator[str]:
    """Far frames of each style family, every world and condition apart; global colour is here alone."""
    for world in _present(table, "world"):
        for condition in _conditions(table, world):
            whole = (world, condition) == (World.OWN, Condition.EXACT)
            shown = [s for s in table.scores if whole or s.row in ("ceiling", *TELLING_ROWS)]
            yield from ("", f"**Each family of styles apart**, world *{world}*, keyframes *{condition}*, far, dB:", "")
            yield from family_means(BenchTable(scores=shown), world, condition)


def _values(table: BenchTable, row: str, figure: str, world: str, condition: str) -> np.ndarray:
    return table.nonglobal_values(row, figure, world=world, condition=condition)


def _mean(values: np.ndarray) -> str:
    known = values[~np.isnan(values)]
    return f"{known.mean():.2f}" if len(known) else ""


def _interval(entry: dict[str, Any], form: str) -> str | None:
    if entry["mean"] is None:
        return None
    return f"{entry['mean']:{form}} [{entry['low']:.2f}, {entry['high']:.2f}]"
