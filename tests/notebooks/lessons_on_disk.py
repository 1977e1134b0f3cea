"""What the tests of the lessons share: the notebooks' folder and its sources."""

from pathlib import Path

from flowedit.lessons.catalog import CATALOG
from notebooks.publish.build import part, read_source

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
LESSONS = [lesson for lesson in CATALOG if (FOLDER / "_src" / f"{lesson.stem}.py").is_file()]


def source_of(lesson):
    return read_source(FOLDER, lesson)


def exercises_of(lesson):
    """(name, stub source, check source, solution source) of every exercise, in order."""
    cells = source_of(lesson).cells
    stubs = [i for i, cell in enumerate(cells) if part(cell) == "stub"]
    for i in stubs:
        name = cells[i + 1].source.split('"')[1]
        yield name, cells[i].source, cells[i + 1].source, cells[i + 2].source
