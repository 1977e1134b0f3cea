"""What the tests of the lessons share."""

import pytest

from notebooks.publish.build import part, read_source
from notebooks.publish.catalog import CATALOG, FOLDER

ROOT = FOLDER.parent

every_lesson = pytest.mark.parametrize("lesson", CATALOG, ids=lambda lesson: lesson.number)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def exercises_of(lesson):
    """(name, stub source, check source, solution source) of every exercise, in order."""
    cells = read_source(lesson).cells
    for i in (i for i, cell in enumerate(cells) if part(cell) == "stub"):
        name = cells[i + 1].source.split('"')[1]
        yield name, cells[i].source, cells[i + 1].source, cells[i + 2].source
