"""One source, two notebooks: a lesson's `# %%` file becomes the student's notebook and the one with solutions.

Every cell carries a tag that says its part in the lesson (`tests/notebooks` holds the template). A `solution` cell
stands after the check of its exercise: in the student's notebook a folded link takes its place, in the other it
replaces the stub.
"""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from flowedit.lessons import realmodels
from flowedit.lessons.catalog import CATALOG, Lesson
from flowedit.lessons.quality import FILE, keep_quality

TAGS = ("header", "setup", "predict", "idea", "code", "see", "exercise", "stub", "check", "solution", "recap")
"""The parts of a lesson; `see` is a picture or widget, and the sentence under it that says the same in words."""
EXTRA_TAGS = ("keep_output", "nbval-skip", "skip-execution", "gpu")
"""What a cell may be beside its part."""
MEASURED = "measured.json"
"""File in the notebooks' folder with what the last run measured."""

_RELATIVE = re.compile(r"\]\((?!https?:|#|\.\./)([^)\s]+)\)")
"""Target of a Markdown link that starts from the notebook's own folder."""
_KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
_SETUP = """# @title Setup (folded; run me first)
import importlib.util, sys
if "google.colab" in sys.modules and importlib.util.find_spec("flowedit") is None:
    %pip install -q "flowedit @ git+https://github.com/{repository}"
from flowedit import lessons
lessons.setup("{number}")"""


def part(cell: NotebookNode) -> str:
    """The tag that says a cell's part in the lesson; empty where it has none or several."""
    found = [tag for tag in cell.metadata.get("tags", []) if tag in TAGS]
    return found[0] if len(found) == 1 else ""


def read_source(folder: Path, lesson: Lesson) -> NotebookNode:
    """A lesson's source as a notebook of tagged cells."""
    return jupytext.read(folder / "_src" / f"{lesson.stem}.py", fmt="py:percent")


def student(source: NotebookNode, lesson: Lesson, measured: dict[str, Any]) -> NotebookNode:
    """The notebook a student opens: stubs stay, and a folded link stands where a solution was."""
    cells = []
    for cell in source.cells:
        if part(cell) == "solution":
            cells.append(_solution_link(lesson))
        else:
            cells.append(_filled(cell, lesson, measured))
    return _notebook(cells, lesson)


def solution(source: NotebookNode, lesson: Lesson, measured: dict[str, Any]) -> NotebookNode:
    """The same notebook with every stub replaced by its solution, and links that lead on from a folder deeper."""
    cells: list[NotebookNode] = []
    for cell in source.cells:
        if part(cell) == "solution":
            stub = max(i for i, earlier in enumerate(cells) if part(earlier) == "stub")
            cells[stub] = _filled(cell, lesson, measured)
        else:
            cells.append(_filled(cell, lesson, measured))
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = _RELATIVE.sub(_from_below, cell.source)
    return _notebook(cells, lesson)


def build(folder: Path) -> list[Path]:
    """Write the notebooks of every lesson that has a source.

    Outputs that a notebook keeps stay with their cell as long as its code is the same. The benchmarks' figures that the
    documentation holds are taken over into the package, where lessons 06 and 07 find them.

    Args:
        folder: the notebooks' folder, with the sources in `_src`.

    Returns:
        The files written.
    """
    written = []
    measured_quality = folder.parent / "docs" / FILE.name
    if measured_quality.is_file():
        keep_quality(measured_quality)
    measured_speeds = folder.parent / "docs" / realmodels.FILE.name
    if measured_speeds.is_file():
        realmodels.keep_speeds(measured_speeds)
    for lesson in CATALOG:
        if not (folder / "_src" / f"{lesson.stem}.py").is_file():
            continue
        source, measured = read_source(folder, lesson), read_measured(folder).get(lesson.number, {})
        for path, make in ((student_path(folder, lesson), student), (solution_path(folder, lesson), solution)):
            notebook = make(source, lesson, measured)
            keep_outputs(notebook, path)
            write(notebook, path)
            written.append(path)
    return written


def student_path(folder: Path, lesson: Lesson) -> Path:
    """Where the student's notebook lies."""
    return folder / f"{lesson.stem}.ipynb"


def solution_path(folder: Path, lesson: Lesson) -> Path:
    """Where the notebook with solutions lies."""
    return folder / "solutions" / f"{lesson.stem}.ipynb"


def read_measured(folder: Path) -> dict[str, dict[str, Any]]:
    """What the last run of each lesson measured, by lesson number."""
    path = folder / MEASURED
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def keep_outputs(notebook: NotebookNode, old: Path) -> None:
    """Give cells tagged `keep_output` the outputs that the file already has for the same code."""
    if not old.is_file():
        return
    before = {cell.source: cell for cell in nbformat.read(old, as_version=4).cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if "keep_output" in cell.metadata.tags and cell.source in before:
            cell.outputs = before[cell.source].outputs
            cell.execution_count = before[cell.source].execution_count


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook, valid and in one fixed form."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def _from_below(match: re.Match[str]) -> str:
    """A link as the solutions' folder needs it: lessons lie in it too, everything else one folder up."""
    target = match[1]
    lessons = {f"{lesson.stem}.ipynb" for lesson in CATALOG}
    return f"]({target})" if target.partition("#")[0] in lessons else f"](../{target})"


def _notebook(cells: list[NotebookNode], lesson: Lesson) -> NotebookNode:
    for position, cell in enumerate(cells):
        cell["id"] = f"l{lesson.number}-{position:02d}-{part(cell)}"
    return nbformat.v4.new_notebook(cells=cells, metadata=deepcopy(_KERNEL))


def _filled(cell: NotebookNode, lesson: Lesson, measured: dict[str, Any]) -> NotebookNode:
    """A clean copy of a source cell, with the header's and the setup's text put in."""
    text = cell.source
    metadata: dict[str, Any] = {"tags": list(cell.metadata.get("tags", []))}
    if part(cell) == "header":
        text = text.replace("{{badges}}", lesson.badges()).replace("{{measured}}", measured_table(measured))
    if part(cell) == "setup":
        from flowedit.lessons.catalog import REPOSITORY

        text = _SETUP.format(repository=REPOSITORY, number=lesson.number)
        metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    if cell.cell_type == "markdown":
        return nbformat.v4.new_markdown_cell(text, metadata=metadata)
    return nbformat.v4.new_code_cell(text, metadata=metadata)


def _solution_link(lesson: Lesson) -> NotebookNode:
    path = f"solutions/{lesson.stem}.ipynb"
    text = f"<details><summary>A solution</summary>\n\nIn [{path}]({path}), at this place.\n\n</details>"
    return nbformat.v4.new_markdown_cell(text, metadata={"tags": ["solution"]})


def measured_table(measured: dict[str, Any]) -> str:
    """What the header says about running the lesson, as a Markdown table."""
    runs = took(measured) if measured else "not measured yet"
    memory = f"{measured['peak_megabytes']:.0f} MB" if measured else "not measured yet"
    return (
        "| time on two free cores | peak memory, mapped files aside | GPU | downloads | account or key |\n"
        "|---|---|---|---|---|\n"
        f"| {runs} | {memory} | not needed | none | none |"
    )


def took(measured: dict[str, Any]) -> str:
    """Time by the clock in words, of a machine that did nothing else."""
    seconds = measured["seconds"]
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
