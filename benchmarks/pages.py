"""Figures in the documentation, filled in from what was measured, so that nobody types a number.

A page says where a figure comes from, in a comment that no reader sees: `<!--= q.gain("default", "propagation") -->`,
the figure, and `<!--/-->`. `python -m benchmarks pages` writes the figures anew; a test holds every page against them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError

from flowedit.errors import OutputError

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_FIELD = re.compile(r"<!--=(?P<expression>.*?)-->(?P<value>.*?)<!--/-->", re.DOTALL)
_QUANTITY = re.compile(
    r"(?<![\w.\-/])[-+]?\d+(?:[.,]\d+)?(?: |\N{NO-BREAK SPACE})?(?:dB|ms|s|MB|GB|kB|minutes?|%)(?!\w)"
)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


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

    return _FIELD.sub(value, text)


def typed_figures(text: str) -> list[str]:
    """Quantities with a unit that a page states in its own words: neither filled in nor code."""
    return _QUANTITY.findall(_CODE.sub("", _FIELD.sub("", text)))
