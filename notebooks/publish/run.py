"""Run lessons without network or keys, measure what each takes, and keep the outputs that its notebooks show."""

import ast
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.util import run_sync
from nbformat import NotebookNode

from notebooks.publish import build
from notebooks.publish.catalog import CATALOG, FOLDER, Lesson

CELL_SECONDS = 3600
_SECRET = re.compile(r"(KEY|TOKEN|SECRET)$")
_OFFLINE = Path(__file__).parent / "offline"
_USED = """(sum(u.ru_utime + u.ru_stime for u in map(__import__('resource').getrusage, (0, -1))),
    *(int(open('/proc/self/status').read().split(name)[1].split()[0]) / 1024 for name in ('VmHWM:', 'RssFile:')),
    __import__('resource').getrusage(-1).ru_maxrss / 1024)"""
"""Processor seconds of the kernel and what it started; megabytes: the kernel's largest, of it pages of files, and the
largest of a program that it started.

Linux's `ru_maxrss` of a process begins with what its parent held, so the kernel's own is read elsewhere.
"""


@dataclass(frozen=True)
class Measurement:
    """What running one notebook took.

    Attributes:
        seconds: processor time, which depends little on what else the computer does.
        peak_megabytes: largest resident memory of the kernel, or of a program that it started.
        own_megabytes: of that, without pages of files, which the system can drop, and of which one machine keeps 240 MB
            more of the same libraries resident than another.
    """

    seconds: float
    peak_megabytes: int
    own_megabytes: int


def offline_environment() -> dict[str, str]:
    """The caller's environment without keys, with connections refused, and this package first on the path."""
    environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name.upper())}
    paths = str(_OFFLINE), str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["OMP_NUM_THREADS"] = "1"  # so that processor time does not depend on who else computes
    return environment


@contextmanager
def refused_connections(log: Path) -> Iterator[list[str]]:
    """Collect the addresses that kernels started inside the block tried to reach."""
    tried: list[str] = []
    os.environ["FLOWEDIT_REFUSED_LOG"] = str(log)
    try:
        yield tried
    finally:
        del os.environ["FLOWEDIT_REFUSED_LOG"]
        if log.is_file():
            tried += log.read_text(encoding="utf-8").split()


def execute(notebook: NotebookNode, cwd: Path = FOLDER) -> Measurement:
    """Run a notebook in a fresh kernel, in place, with no network and no key in its environment.

    Args:
        notebook: the notebook; its outputs and widget state are replaced.
        cwd: the folder its relative paths start from.

    Returns:
        What it took.

    Raises:
        CellExecutionError: a cell raised.
    """
    resources = {"metadata": {"path": str(cwd)}}
    client = NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=resources)
    with client.setup_kernel(env=offline_environment()):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        client.set_widgets_metadata()
        client.kc.execute("", user_expressions={"used": _USED})
        reply = run_sync(client.kc.get_shell_msg)(timeout=60)
    used = ast.literal_eval(reply["content"]["user_expressions"]["used"]["data"]["text/plain"])
    seconds, kernel, files, started = used
    return Measurement(round(seconds, 1), round(max(kernel, started)), round(max(kernel - files, started)))


def run(numbers: Sequence[str]) -> Iterator[tuple[Lesson, Measurement, NotebookNode]]:
    """Run lessons as a student finds them, write what they took, and keep the outputs their notebooks show.

    Args:
        numbers: the lessons to run; empty for all.

    Yields:
        Each lesson, what it took, and the executed notebook with outputs and widget state.
    """
    for lesson in CATALOG:
        if numbers and lesson.number not in numbers:
            continue
        notebook = build.student(lesson, proofs=True)
        taken = execute(notebook)
        notebook.cells = [cell for cell in notebook.cells if build.part(cell) != "proof"]
        measured = build.read_measured() | {lesson.number: asdict(taken)}
        build.MEASURED.write_text(json.dumps(dict(sorted(measured.items())), indent=2) + "\n", encoding="utf-8")
        for path, make in ((lesson.student, build.student), (lesson.solution, build.solution)):
            made = make(lesson)
            build.keep_outputs(made, notebook)
            build.write(made, path)
        notebook.cells[0].source = nbformat.read(lesson.student, as_version=4).cells[0].source
        yield lesson, taken, notebook
