"""Lessons 01 and 02 in the browser's own Python: what is built, and that nothing is imported that Pyodide has not.

Pyodide's own packages come from its network, so the pages are not run here.
"""

import subprocess
import sys
import zipfile

import nbformat
import pytest

from notebooks.publish import lite
from notebooks.publish.build import part
from notebooks.publish.catalog import FOLDER
from tests.notebooks.lessons_on_disk import code_of

MISSING = ("torch", "cv2", "av", "diffsynth", "langgraph", "langchain_core", "torchvision", "typer", "rich", "filelock")
BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return lite.prepare(tmp_path_factory.mktemp("lite"))


def test_the_pages_can_draw_widgets_and_know_their_words(made):
    """Catches a site built without the extensions that draw widgets, and links of a lesson that lead nowhere."""
    steps = (FOLDER.parent / ".github/workflows/pages.yml").read_text(encoding="utf-8")
    (install,) = [line for line in steps.splitlines() if "jupyterlite-core" in line]
    assert {"ipywidgets", "anywidget"} <= set(install.split())
    assert {"glossary.md", "notation.md"} <= {path.name for path in (made / "content").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lite.LESSONS, ids=lambda lesson: lesson.number)
def test_a_lesson_runs_from_the_slim_wheel_without_what_pyodide_lacks(made, tmp_path, lesson):
    """Catches an import of torch on the way to a widget, and a file that the wheel leaves out and the lesson opens."""
    (wheel,) = (made / "wheels").iterdir()
    assert wheel.stat().st_size < 2_000_000
    zipfile.ZipFile(wheel).extractall(tmp_path)
    notebook = nbformat.read(made / "content" / lesson.student.name, as_version=4)
    cells = [cell.source for cell in code_of(notebook) if part(cell) != "setup"]
    assert "piplite" in notebook.cells[1].source
    program = "\n".join([BLOCK, lite.STAND_INS, "from flowedit import lessons", 'lessons.setup("x")', *cells])
    (tmp_path / "lesson.py").write_text(program, encoding="utf-8")
    run = [sys.executable, "-P", tmp_path / "lesson.py"]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "", "MPLBACKEND": "agg", "HOME": str(tmp_path)}
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
