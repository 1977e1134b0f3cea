"""One source, two notebooks: a lesson's `# %%` file becomes the student's notebook and the one with solutions.

Every cell carries a tag that says its part in the lesson (`tests/notebooks` holds the template). A `solution` cell
stands after the check of its exercise: in the student's notebook a folded link takes its place, in the other it
replaces the stub.
"""

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from notebooks.publish.catalog import CATALOG, FOLDER, REPOSITORY, Lesson

TAGS = ("header", "setup", "predict", "idea", "code", "see", "exercise", "stub", "check", "solution", "recap", "proof")
"""The parts of a lesson; `see` is a picture or widget, and the sentence under it that says the same in words.

A `proof` asserts what the text claims: it runs in the tests, and no notebook holds it.
"""
EXTRA_TAGS = ("keep_output", "skip-execution", "gpu")
"""What a cell may be beside its part."""
MEASURED = FOLDER / "measured.json"
"""What the last run of each lesson took, by lesson number."""

_RELATIVE = re.compile(r"\]\((?!https?:|#|\.\./)([^)\s]+)\)")
"""Target of a Markdown link that starts from the notebook's own folder."""
_PICTURE = re.compile(r'<img alt="([^"]+)" src="data:image/webp;base64,([^"]+)"')
"""A picture in what a widget shows without a script."""
_VIEW = "application/vnd.jupyter.widget-view+json"
_STILL_WIDTH = 480
_MINUTES = re.compile(r"^\*Difficulty .* · (\d+) minutes\.\*", re.MULTILINE)
_WORDS_A_MINUTE, _MINUTES_A_CELL = 180, 0.75
"""Of technical prose, and to run a cell and look at what it shows."""
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


def read_source(lesson: Lesson) -> NotebookNode:
    """A lesson's source as a notebook of tagged cells."""
    return jupytext.read(lesson.source, fmt="py:percent")


def student(lesson: Lesson, *, proofs: bool = False) -> NotebookNode:
    """The notebook a student opens: stubs stay, and a folded link stands where a solution was."""
    cells = [_filled(cell, lesson) for cell in read_source(lesson).cells if proofs or part(cell) != "proof"]
    path = f"solutions/{lesson.stem}.ipynb"
    link = f"<details><summary>A solution</summary>\n\nIn [{path}]({path}), at this place.\n\n</details>"
    folded = new_markdown_cell(link, metadata={"tags": ["solution"]})
    return _notebook([folded.copy() if part(cell) == "solution" else cell for cell in cells], lesson)


def solution(lesson: Lesson) -> NotebookNode:
    """The same notebook with every stub replaced by its solution, and links that lead on from a folder deeper."""
    cells = [_filled(cell, lesson) for cell in read_source(lesson).cells if part(cell) != "proof"]
    solutions = iter([cell for cell in cells if part(cell) == "solution"])
    kept = [next(solutions) if part(cell) == "stub" else cell for cell in cells if part(cell) != "solution"]
    for cell in kept:
        if cell.cell_type == "markdown":
            cell.source = _RELATIVE.sub(_from_below, cell.source)
    return _notebook(kept, lesson)


def build() -> Iterator[Path]:
    """Write the notebooks of every lesson; outputs that a notebook keeps stay while their cell's code is the same.

    Yields:
        The files written.
    """
    for lesson in CATALOG:
        for path, make in ((lesson.student, student), (lesson.solution, solution)):
            notebook = make(lesson)
            if path.is_file():
                keep_outputs(notebook, nbformat.read(path, as_version=4))
            write(notebook, path)
            yield path


def keep_outputs(notebook: NotebookNode, run: NotebookNode) -> None:
    """Give cells the outputs that the same code had in another notebook: all of `keep_output`, stills of widgets."""
    done = {cell.source: cell for cell in run.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source in done:
            outputs = done[cell.source].outputs
            kept = [one for one in outputs if _viewers_can_show(one)] if "keep_output" in cell.metadata.tags else []
            cell.outputs = kept + [still for one in outputs for still in _stills(one)]
            cell.execution_count = done[cell.source].execution_count if cell.outputs else None


def is_still(output: NotebookNode) -> bool:
    """Whether an output stands for a widget where none can be drawn, as on GitHub."""
    return bool(output.get("metadata", {}).get("still"))


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook, valid and in one fixed form."""
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def read_measured() -> dict[str, dict[str, Any]]:
    """What the last run of each lesson took, by lesson number."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def took(seconds: float) -> str:
    """Time in words."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _viewers_can_show(output: NotebookNode) -> bool:
    """Whether an output makes sense without a kernel and without widget state; warnings are left out as well."""
    if output.output_type == "stream":
        return output.name == "stdout"
    return not is_still(output) and _VIEW not in output.get("data", {})


def _stills(output: NotebookNode) -> list[NotebookNode]:
    """A widget's output as plain pictures with their words, or as its table where it has no picture."""
    if is_still(output):
        return [output]
    data = output.get("data", {})
    text = data.get("text/html", "")
    if _VIEW not in data or not text:
        return []
    pictures = [_still(b64decode(code), unescape(alt)) for alt, code in _PICTURE.findall(text)]
    return pictures or [new_output("display_data", {"text/html": text}, metadata={"still": True})]


def _still(picture: bytes, alt: str) -> NotebookNode:
    image, packed = Image.open(BytesIO(picture)).convert("RGB"), BytesIO()
    image.thumbnail((_STILL_WIDTH, 4 * _STILL_WIDTH))
    image.save(packed, "JPEG", quality=66, optimize=True)
    data = {"image/jpeg": b64encode(packed.getvalue()).decode("ascii"), "text/plain": alt}
    return new_output("display_data", data, metadata={"image/jpeg": {"alt": alt}, "still": True})


def _from_below(match: re.Match[str]) -> str:
    """A link as the solutions' folder needs it: lessons lie in it too, everything else one folder up."""
    target = match[1]
    lessons = {f"{lesson.stem}.ipynb" for lesson in CATALOG}
    return f"]({target})" if target.partition("#")[0] in lessons else f"](../{target})"


def _notebook(cells: list[NotebookNode], lesson: Lesson) -> NotebookNode:
    for position, cell in enumerate(cells):
        cell["id"] = f"l{lesson.number}-{position:02d}-{part(cell)}"
    return new_notebook(cells=cells, metadata=_KERNEL)


def _filled(cell: NotebookNode, lesson: Lesson) -> NotebookNode:
    """A clean copy of a source cell, with the header's and the setup's text put in."""
    text, metadata = cell.source, {"tags": list(cell.metadata.get("tags", []))}
    if part(cell) == "header":
        text = text.replace("{{badges}}", lesson.badges()).replace("{{measured}}", _measured_table(lesson))
    if part(cell) == "setup":
        text = _SETUP.format(repository=REPOSITORY, number=lesson.number)
        metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    return (new_markdown_cell if cell.cell_type == "markdown" else new_code_cell)(text, metadata=metadata)


def _measured_table(lesson: Lesson) -> str:
    """What the header says about running the lesson, as a Markdown table."""
    measured = read_measured().get(lesson.number, {"seconds": 0, "peak_megabytes": 0})
    reading, exercises = reading_minutes(lesson)
    return (
        "| reading | exercises | processor time | peak memory | GPU | downloads | account or key |\n"
        "|---|---|---|---|---|---|---|\n"
        f"| {reading} min | {exercises} min | {took(measured['seconds'])} | {measured['peak_megabytes']} MB "
        "| not needed | none | none |"
    )


def reading_minutes(lesson: Lesson) -> tuple[int, int]:
    """Minutes to read a lesson and look at its cells, and those that its exercises say; rounded up."""
    cells = read_source(lesson).cells
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    looked_at = sum(part(cell) in ("code", "see") for cell in cells if cell.cell_type == "code")
    exercises = sum(int(minutes) for cell in cells for minutes in _MINUTES.findall(cell.source))
    return math.ceil(words / _WORDS_A_MINUTE + looked_at * _MINUTES_A_CELL), exercises
