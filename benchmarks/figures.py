"""What expressions in the documentation may name: the records in `benchmarks/results/`, and tables of them."""

import json
from pathlib import Path
from typing import Any

from benchmarks import gpu_table, long_clips, looks, paces, pages, tables, widgets
from benchmarks.gpu_record import read_record
from benchmarks.gpu_targets import NARROW, WIDE_ONE, target_table
from benchmarks.speed import SpeedRecord
from benchmarks.table import BenchTable, read_scores

RESULTS = Path(__file__).parent / "results"
TELLING = ("source", "ceiling", "colour map", "propagation", "estimate", "method", "draft", "default")


def figures() -> dict[str, Any]:
    """The names: `q` and `v`, the quality scores of test and validation scenes; the other records; and the tables."""
    scores = read_scores(RESULTS / "quality.csv.gz")
    speed = SpeedRecord.read(RESULTS / "speed.json")
    long = long_clips.read_readings(RESULTS / "long_clips.json")
    return {
        "q": BenchTable(scores),
        "v": BenchTable(scores, "validation"),
        "telling": TELLING,
        **{name: getattr(tables, name) for name in ("targets", "means", "gains", "shares", "families")},
        "speed": {row.name: row for row in speed.commands},
        "speed_table": speed.to_markdown(),
        "long": {(reading.preset, reading.family): reading for reading in long},
        "long_table": long_clips.to_markdown(long),
        "looks_table": looks.to_markdown(*_looks()),
        "gpu": read_record(RESULTS / "gpu_h200_flash3.json"),
        "gpu_wide": read_record(RESULTS / "gpu_h200.json"),
        **{name: getattr(gpu_table, name) for name in ("where", "rows_of", "derived")},
        **{"target_table": target_table, "narrow": NARROW, "wide": WIDE_ONE},
        "pace": {row.name: row for row in paces.read_paces(RESULTS / "paces.json")},
        "paces_table": paces.paces_markdown(paces.read_paces(RESULTS / "paces.json")),
        "widgets_table": widgets.to_markdown([widgets.Reading(**row) for row in _json("widgets.json")]),
    }


def fill_pages() -> list[Path]:
    """Write the figures of every page anew; those that changed."""
    known, changed = figures(), []
    for page in pages.PAGES:
        text = page.read_text(encoding="utf-8")
        filled = pages.fill(text, known)
        if filled != text:
            page.write_text(filled, encoding="utf-8")
            changed.append(page)
    return changed


def _looks() -> tuple[list[looks.LookReading], str]:
    held = _json("looks.json")
    return [looks.LookReading(**row) for row in held["looks"]], held["clip"]


def _json(name: str) -> Any:  # noqa: ANN401 - what a record holds
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))
