"""Figures in the documentation, filled in from the records in `benchmarks/results/`, so that nobody types a number.

A page says where a figure comes from, in a comment that no reader sees: `<!--= q.gain("default", "propagation") -->`,
the figure, and `<!--/-->`. `python -m benchmarks pages` writes the figures anew; a test holds every page against them.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError

from benchmarks import RESULTS, batch, batch_gpus, gpu_tables, long_clips, segments, speed, table
from benchmarks.gpu import read_record
from benchmarks.table import BenchTable, read_scores
from flowedit.errors import OutputError

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FIELD = re.compile(r"<!--=(?P<expression>.*?)-->(?P<value>.*?)<!--/-->", re.DOTALL)


def figures() -> dict[str, Any]:
    """What expressions may name: `q` and `v`, the scores of test and validation scenes; other records; tables."""
    scores = read_scores(RESULTS / "quality.csv.gz")
    long = long_clips.read_readings(RESULTS / "long_clips.json")
    many, gpu = batch.read_batch(RESULTS / "batch.json"), read_record(RESULTS / "gpu_h200_fast.json")
    return {
        "q": BenchTable(scores),
        "v": BenchTable(scores, "validation"),
        **{name: getattr(table, name) for name in ("means", "gains", "families")},
        "speed": {row.name: row for row in speed.read_speed(RESULTS / "speed.json")[0]},
        "speed_table": speed.to_markdown(RESULTS / "speed.json"),
        "long": {(reading.preset, reading.family): reading for reading in long},
        "long_table": long_clips.to_markdown(long),
        "gpu": gpu,
        "gpu_ways": read_record(RESULTS / "gpu_h200_ways.json"),
        "gpu_tests": json.loads((RESULTS / "gpu_tests.json").read_text()),
        "gpu_bernini": read_record(RESULTS / "gpu_bernini.json"),
        "gpu_x2": read_record(RESULTS / "gpu_h200_x2.json"),
        "gpu_wide": read_record(RESULTS / "gpu_h200.json"),
        **{name: getattr(gpu_tables, name) for name in ("where", "rows_of", "target_table", "passed_tests")},
        **{name: getattr(segments, name) for name in ("against_tokens", "cards_table")},
        **{"narrow": gpu_tables.NARROW, "wide": gpu_tables.WIDE_ONE},
        "batch": many,
        "batch_share": batch.share,
        "batch_nodes": batch.NODES,
        "batch_table": batch.to_markdown(many),
        "batch_gpus": batch_gpus.read_gpus(RESULTS / "batch.json"),
        "batch_gpus_table": batch_gpus.gpus_table(batch_gpus.read_gpus(RESULTS / "batch.json")),
        "batch_estimate": batch.estimate(many, gpu),
    }


def fill_pages() -> list[Path]:
    """Write the figures of every page anew; those that changed."""
    known, changed = figures(), []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        filled = fill(text, known)
        if filled != text:
            page.write_text(filled, encoding="utf-8")
            changed.append(page)
    return changed


def fill(text: str, figures: Mapping[str, Any]) -> str:
    """The page with every figure computed anew.

    Args:
        text: Markdown.
        figures: what expressions may name.

    Raises:
        OutputError: an expression that cannot be computed.
    """
    environment = Environment(undefined=StrictUndefined)

    def value(field: re.Match[str]) -> str:
        expression = field["expression"]
        try:
            said = str(environment.compile_expression(expression.strip(), undefined_to_none=False)(**figures))
        except (TemplateError, TypeError, LookupError, ValueError) as error:
            raise OutputError(f"{expression.strip()} cannot be computed: {error}. Correct the page.") from None
        return f"<!--={expression}-->" + (f"\n\n{said.strip()}\n\n" if "\n" in said else said) + "<!--/-->"

    return FIELD.sub(value, text)
