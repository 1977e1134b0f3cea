"""Lessons 01 and 02 for JupyterLite, which runs them in the reader's browser: notebooks, and a wheel without weights.

`jupyter lite build` makes pages of the folder, with the widgets of whoever runs it. A reader's browser fetches Pyodide,
NumPy, matplotlib and Pillow from Pyodide's network and the other packages from PyPI; what is in the folder is all that
this package brings.
"""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat

from notebooks.publish import build
from notebooks.publish.catalog import CATALOG, FOLDER

LESSONS = tuple(lesson for lesson in CATALOG if lesson.number in ("01", "02"))
HEAVY = re.compile(r"/(weights|recorded/(source|edited)\.webp|clips/.*\.mp4)")
"""What these lessons never open."""
STAND_INS = """import sys, types
psutil = types.ModuleType("psutil")
psutil.virtual_memory = lambda: types.SimpleNamespace(available=2**31)
psutil.cpu_count = lambda: 1
safetensors = types.ModuleType("safetensors")
safetensors.safe_open, safetensors.SafetensorError = None, OSError
sys.modules |= {"psutil": psutil, "safetensors": safetensors}
"""
"""For what Pyodide has not, and these lessons never use."""
PACKAGES = ("anywidget", "ipywidgets", "jaxtyping", "matplotlib", "platformdirs", "pillow")
_SETUP = """# @title Setup (run me first: the browser fetches NumPy, matplotlib and the widgets, once)
import piplite
await piplite.install({packages})
await piplite.install("flowedit", deps=False)
{stand_ins}from flowedit import lessons
lessons.setup("{number}")"""


def prepare(folder: Path) -> Path:
    """Write `content/` and `wheels/` into a folder, and return it."""
    content, wheels = folder / "content", folder / "wheels"
    for path in (content, wheels):
        path.mkdir(parents=True, exist_ok=True)
    for lesson in LESSONS:
        notebook = build.student(lesson)
        setup = next(cell for cell in notebook.cells if build.part(cell) == "setup")
        setup.source = _SETUP.format(packages=list(PACKAGES), stand_ins=STAND_INS, number=lesson.number)
        nbformat.write(notebook, content / lesson.student.name)
    for words in ("glossary.md", "notation.md"):
        shutil.copy(FOLDER / words, content)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "whole"]
    subprocess.run([*wheel, FOLDER.parent], check=True)
    (whole,) = (folder / "whole").glob("flowedit-*.whl")
    _without_weights(whole, wheels / whole.name)
    return folder


def _without_weights(whole: Path, slim: Path) -> None:
    """A wheel without its heavy files, and without their lines in its list of files."""
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(slim, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(".dist-info/RECORD"):
                data = b"".join(line for line in data.splitlines(keepends=True) if not HEAVY.search(line.decode()))
            if not HEAVY.search(name):
                target.writestr(name, data)
