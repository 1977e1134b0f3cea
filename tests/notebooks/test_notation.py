"""The table of notation holds what the lessons write: their symbols, the settings they pass, the readings they name."""

import ast
import re
from dataclasses import fields

from flowedit.agent.settings import StyleSettings
from flowedit.settings import EditSettings
from flowedit.trace import READINGS
from notebooks.publish.build import read_source
from notebooks.publish.catalog import CATALOG, FOLDER
from tests.notebooks.lessons_on_disk import ROOT, code_of, every_lesson

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (FOLDER / "notation.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| symbol")
]
CONSTANTS = {"e"}
GREEK = ("alpha", "beta", "kappa", "sigma")
SETTINGS = {field.name for kind in (EditSettings, StyleSettings) for field in fields(kind)}
WIDGETS = ROOT / "flowedit" / "widgets"


def symbols(text):
    """Letters, words and Greek letters of all formulas, each with its index."""
    found = set()
    for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", text, flags=re.S):
        formula = re.sub(r"\\text\{[^}]*\}|[\^]\{-?\w\}|\\[,;:!]", " ", display or inline)
        for name in re.findall(r"(\\?[A-Za-z]+(?:_\{\w+\}|_\w)?)", formula):
            bare = name.removeprefix("\\")
            if not name.startswith("\\") or bare.partition("_")[0] in GREEK:
                found.add(bare.replace("{", "").replace("}", ""))
    return found - CONSTANTS


def prose(lesson):
    return "\n".join(cell.source for cell in read_source(lesson).cells if cell.cell_type == "markdown")


def code(lesson):
    return [cell.source for cell in code_of(read_source(lesson))]


def test_every_row_has_four_columns_and_a_meaning():
    assert all(len(row) == 4 and row[3] for row in ROWS)


@every_lesson
def test_every_symbol_of_a_lesson_is_in_the_table(lesson):
    """Catches a letter that a lesson uses and nobody can look up."""
    assert symbols(prose(lesson)) <= symbols("\n".join(row[0] for row in ROWS))


def test_every_symbol_of_the_table_is_used():
    """Catches a symbol that was renamed in the lessons and the documentation and not here."""
    method = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    used = symbols("\n".join([method, *(prose(lesson) for lesson in CATALOG)]))
    assert symbols("\n".join(row[0] for row in ROWS)) <= used


@every_lesson
def test_every_setting_that_a_lesson_passes_is_in_the_table(lesson):
    """Catches an argument of an edit, or of the agent, that the table leaves out."""
    passed = {
        word.arg
        for source in code(lesson)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        for word in node.keywords
    }
    named = {name for row in ROWS for name in re.findall(r"`(\w+)", row[1] + row[3])}
    assert passed & SETTINGS <= named


def test_every_reading_of_a_trace_is_in_the_table():
    assert {name for row in ROWS for name in re.findall(r"`(\w+)`", row[1])} >= set(READINGS)


def test_every_label_is_on_a_widget():
    """Catches a label that no widget shows any more, neither by itself nor because a lesson hands it over."""
    files = [*WIDGETS.glob("*.py"), *(WIDGETS / "static").glob("*.js")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    text += "\n".join(source for lesson in CATALOG for source in code(lesson))
    labels = [label.strip() for row in ROWS for label in row[2].split(",") if label.strip()]
    assert [label for label in labels if label not in text] == []
    assert len(labels) > 10
