"""What is asked of the default and of the model in it, held against a quality table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases import Condition, World
from benchmarks.rows import CLASSICAL_ROWS
from benchmarks.table import BenchTable
from flowedit.errors import SettingError
from flowedit.metrics import bootstrap_ci
from flowedit.tiny.styles import Family

OURS = "default"
MOST_FLICKER = 1.15
"""Times the truth's own, at keyframes."""
WORLDS = {World.OWN: "own world", World.EXAM: "reference world", World.NATURAL: "photographs", World.FILM: "films"}
OFF = {
    "guess": "the model off (the guess returned) costs",
    "default shown keyframes alone": "showing the model the keyframes without the guess costs",
    "default shown no keyframes": "showing the model no keyframes costs",
    "default keyframes swapped": "swapping the first and last keyframe costs",
}
"""Rows with one part of the default changed, and what is asked of each."""
CORRECTED = "default with correction"


@dataclass(frozen=True)
class Aim:
    """A gain in dB over the classical rows that is asked for: its words, figure, condition and size."""

    words: str
    figure: str
    condition: Condition
    least: float


AIMS = (
    Aim("far from exact keyframes, over the best classical row: 1 dB", "psnr_far", Condition.EXACT, 1.0),
    Aim("hidden places, exact keyframes, over the best classical row: 3 dB", "psnr_disoccluded", Condition.EXACT, 3.0),
    Aim("far from disagreeing keyframes, over the best classical row: 2 dB", "psnr_far", Condition.DISAGREEING, 2.0),
)


def to_aims(table: BenchTable) -> Iterator[str]:
    """A line per aim, a column per world, as Markdown; paired differences in dB with 95 % intervals."""
    worlds = [world for world in WORLDS if any(score.world == world for score in table.scores)]
    yield f"| asked of the default | {' | '.join(WORLDS[world] for world in worlds)} |"
    yield "|---" * (len(worlds) + 1) + "|"
    for aim in AIMS:
        yield f"| {aim.words} | {' | '.join(_over_classical(table, aim, world) for world in worlds)} |"
    for condition, judge in ((Condition.EXACT, _above), (Condition.DISAGREEING, _said)):
        cells = (judge(_gain(table, OURS, "ceiling", "psnr_key", world, condition)) for world in worlds)
        asked = "at or above 0" if judge is _above else "not asked"
        yield f"| at {condition} keyframes, over the autoencoder's ceiling: {asked} | {' | '.join(cells)} |"
    yield f"| flicker at keyframes at most {MOST_FLICKER} | {' | '.join(_flicker(table, world) for world in worlds)} |"
    for condition in (Condition.EXACT, Condition.DISAGREEING):
        for row, words in OFF.items():
            cells = (_above(_gain(table, OURS, row, "psnr_far", world, condition)) for world in worlds)
            yield f"| {words}, {condition} | {' | '.join(cells)} |"
        cells = (_above(_gain(table, CORRECTED, OURS, "psnr_far", world, condition)) for world in worlds)
        yield f"| the correction, which the default does without, would gain, {condition} | {' | '.join(cells)} |"


def to_photographs(table: BenchTable) -> Iterator[str]:
    """The default's gains on each photograph apart: the intervals are over camera paths and styles, not pictures."""
    from flowedit.tiny.natural import HELD_OUT

    rows = [row for row in (*CLASSICAL_ROWS[1:], "guess") if row in table.rows]
    scores = [s for s in table.scores if s.world == World.NATURAL]
    if not scores or not rows:
        return
    yield f"| photograph, keyframes | {' | '.join(f'over {row}' for row in rows)} |"
    yield "|---" * (len(rows) + 1) + "|"
    for number, name in enumerate(HELD_OUT):
        part = BenchTable(scores=[s for s in scores if s.scene % len(HELD_OUT) == number])
        for condition in dict.fromkeys(s.condition for s in scores):
            gains = (_gain(part, OURS, row, "psnr_far", World.NATURAL, condition) for row in rows)
            yield f"| {name}, {condition} | {' | '.join(_said(gain) for gain in gains)} |"


def _gain(table: BenchTable, row: str, over: str, figure: str, world: str, condition: str) -> dict[str, Any] | None:
    try:
        gain = table.gain(row, over, figure, world=world, condition=condition)
    except SettingError:
        return None
    return gain if gain["mean"] is not None else None


def _over_classical(table: BenchTable, aim: Aim, world: str) -> str:
    gains = (_gain(table, OURS, row, aim.figure, world, aim.condition) for row in CLASSICAL_ROWS)
    known = [gain for gain in gains if gain]
    return _judged(min(known, key=lambda gain: gain["mean"]) if known else None, aim.least)


def _flicker(table: BenchTable, world: str) -> str:
    """The worst of the conditions, as means over the styles other than global colour."""
    conditions = dict.fromkeys(s.condition for s in table.scores if s.world == world)
    values = (table.nonglobal_values(OURS, "flicker", world=world, condition=c) for c in conditions)
    spans = [(float(v.mean()), *bootstrap_ci(v, seed=0)) for v in values if len(v)]
    if not spans:
        return "not measured"
    mean, low, high = max(spans)
    said = f"{mean:.2f} [{low:.2f}, {high:.2f}]"
    return said if mean <= MOST_FLICKER else f"**{said}, missed**"


def _judged(gain: dict[str, Any] | None, least: float) -> str:
    """Reached where the mean is as asked and the interval leaves 0 out."""
    if gain is None:
        return "not measured"
    reached = gain["mean"] >= least and gain["low"] > 0
    return _said(gain) if reached else f"**{_said(gain)}, missed**"


def _above(gain: dict[str, Any] | None) -> str:
    return _judged(gain, 0.0)


def _said(gain: dict[str, Any] | None) -> str:
    return f"{gain['mean']:+.2f} [{gain['low']:.2f}, {gain['high']:.2f}]" if gain else "not measured"


def _place(family: str) -> int:
    """Where a family stands in a table: in the order of the package's own; another world's keep theirs, after these."""
    known = [str(one) for one in Family]
    return known.index(family) if family in known else len(known)


def family_means(table: BenchTable, world: str, condition: str) -> Iterator[str]:
    """Far frames of each style family, a line per row, with the default's paired gain over the guess below."""
    scores = [s for s in table.scores if (s.world, s.condition) == (world, condition)]
    families = sorted(dict.fromkeys(s.family for s in scores), key=_place)
    far = {(s.row, s.scene): s.figures["psnr_far"] for s in scores}
    yield f"| row | {' | '.join(families)} |"
    yield "|---" * (len(families) + 1) + "|"
    for row in table.rows:
        values = [[s.figures["psnr_far"] for s in scores if (s.row, s.family) == (row, f)] for f in families]
        if all(values):
            yield f"| {row} | {' | '.join(f'{np.nanmean(v):.2f}' for v in values)} |"
    pairs = [[far[OURS, s.scene] - s.figures["psnr_far"] for s in scores if (s.row, s.family) == ("guess", f)
              and (OURS, s.scene) in far] for f in families]  # fmt: skip
    if all(len(pair) > 1 for pair in pairs):
        cells = ((np.mean(pair), *bootstrap_ci(np.asarray(pair), seed=0)) for pair in pairs)
        yield f"| *default over guess* | {' | '.join(f'{m:+.2f} [{lo:.2f}, {hi:.2f}]' for m, lo, hi in cells)} |"
