"""Each equation of docs/method.md and the line of code that is it: a page of the site.

The page names the line in a comment under its equation, as the file and what that one line holds.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from notebooks.publish.catalog import BRANCH, FOLDER, REPOSITORY

ROOT = FOLDER.parent
EQUATION = re.compile(r"^\$\$(.+)\$\$\n\n(?:<!-- (\S+): (.+) -->)?", re.MULTILINE)


class Place(NamedTuple):
    """An equation, and where it is code."""

    formula: str
    path: str
    number: int
    line: str


def places() -> Iterator[Place]:
    """Every equation of docs/method.md, in order; a ValueError names one whose line is not there, or there twice."""
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    for formula, path, wanted in EQUATION.findall(text):
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines() if path else []
        found = [number for number, line in enumerate(lines, 1) if wanted in line]
        if len(found) != 1:
            raise ValueError(f"{formula}: {wanted!r} is in {len(found)} lines of {path or 'no file'}, not in one.")
        yield Place(formula, path, found[0], lines[found[0] - 1].strip())


def page() -> str:
    """The page in Markdown."""
    source = f"https://github.com/{REPOSITORY}/blob/{BRANCH}"
    rows = [
        f"| ${place.formula}$ | [{place.path}:{place.number}]({source}/{place.path}#L{place.number}) | `{place.line}` |"
        for place in places()
    ]
    lead = f"# From equation to code\n\nEquations of [the method]({source}/docs/method.md), and the line that is it.\n"
    return "\n".join([lead, "| equation | where | the line |", "| --- | --- | --- |", *rows, ""])
