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

from benchmarks import RESULTS, batch, gpu, long_clips, speed, table, targets
from flowedit.errors import OutputError
from flowedit.presets import preset_settings
from flowedit.wan.checkpoints import resolve
from flowedit.wan.memory import forward_lengths, keyframes_in, token_count
from flowedit.wan.placement import GB, needs_of, own_clip

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FIELD = re.compile(r"<!--=(?P<expression>.*?)-->(?P<value>.*?)<!--/-->", re.DOTALL)
RESTYLING = ("Wan2.1-Fun-1.3B-InP", "Wan2.1-VACE-1.3B", "Bernini-R-1.3B", "Wan2.1-I2V-14B-480P", "Wan2.1-VACE-14B")
"""Checkpoints that take keyframes at any frame, with weights that many cards hold."""


def figures() -> dict[str, Any]:
    """What expressions may name: `q`, the scores of test scenes; other records; and what makes tables of them."""
    makers = table.means, table.gains, table.families, gpu.where, gpu.rows_of, batch.batch_table, memory_table
    makers += targets.asked_of_the_default, targets.asked_of_a_gpu, targets.asked_of_a_batch, targets.hundred_nodes
    long = long_clips.read_readings(RESULTS / "long_clips.json")
    return {
        **{maker.__name__: maker for maker in makers},
        "q": table.BenchTable(table.read_scores(RESULTS / "quality.csv.gz")),
        "speed": {row.name: row for row in speed.read_speed(RESULTS / "speed.json")[0]},
        "speed_table": speed.to_markdown(RESULTS / "speed.json"),
        "long": {(each.preset, each.family): each for each in long},
        "long_table": long_clips.to_markdown(long),
        **{name: gpu.read_record(RESULTS / f"{name}.json") for name in ("gpu_h200", "gpu_h200_fast", "gpu_h200_x2")},
        "gpu_bernini": gpu.read_record(RESULTS / "gpu_bernini.json"),
        "batch": json.loads((RESULTS / "batch.json").read_text(encoding="utf-8")),
        "gpu_tests": json.loads((RESULTS / "gpu_tests.json").read_text(encoding="utf-8")),
    }


def memory_table(keyframes: int = 5) -> str:
    """What the default preset takes of a GPU with so many keyframes, by checkpoint, each at its own clip."""
    lines: list[tuple[object, ...]] = []
    for entry in map(resolve, RESTYLING):
        shape, settings = own_clip(entry), preset_settings(entry.name)
        added = keyframes_in(entry, settings.conditioning, keyframes)
        forwards = len(forward_lengths(entry, shape, settings, keyframes))
        levels = (needs_of(entry, shape, level, keyframes=added).gpu / GB for level in ("resident", "offload"))
        lines.append((entry.name, token_count(entry, shape, added), forwards, *(f"{need:.1f} GB" for need in levels)))
    heads = (
        "checkpoint",
        "tokens of the longest forward",
        "forwards",
        "GPU, all weights on it",
        "GPU, weights on the host",
    )
    return table.markdown(heads, lines)


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
