"""Run lessons without network or keys, measure what each takes, and keep the outputs that its notebooks show."""

import base64
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode

from flowedit.lessons import build
from flowedit.lessons.catalog import CATALOG, Lesson

_SECRET = re.compile(r"(KEY|TOKEN|SECRET)$")
_GUARD = Path(__file__).parent / "offline"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What running one notebook took.

    Attributes:
        seconds: wall-clock time of all cells, without the kernel's start.
        cpu_seconds: processor time of the kernel.
        peak_megabytes: largest resident memory of the kernel.
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


Done = tuple[Lesson, Measurement]


def execute(notebook: NotebookNode, cwd: Path, *, cell_timeout: int = 3600) -> Measurement:
    """Run a notebook in a fresh kernel, in place, with no network and no key in its environment.

    Args:
        notebook: the notebook; its outputs and widget state are replaced.
        cwd: the folder its relative paths start from.
        cell_timeout: seconds that one cell may take.

    Returns:
        What it took.
    """
    client = NotebookClient(
        notebook,
        timeout=cell_timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(cwd)}},
        skip_cells_with_tag="skip-execution",
    )
    with client.setup_kernel(env=offline_environment()):
        kernel = psutil.Process(client.km.provisioner.pid)
        begun = time.perf_counter()
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        seconds = time.perf_counter() - begun
        times = kernel.cpu_times()
        peak = _peak_megabytes(kernel)
        client.set_widgets_metadata()
    return Measurement(seconds=seconds, cpu_seconds=times.user + times.system, peak_megabytes=peak)


def run(folder: Path, numbers: list[str], ran: Callable[[Lesson, NotebookNode], None] | None = None) -> Iterator[Done]:
    """Run lessons as a student finds them, write what they took, and keep the outputs their notebooks show.

    Args:
        folder: the notebooks' folder.
        numbers: the lessons to run; empty for all.
        ran: told of each lesson with its executed notebook, outputs and widget state included.

    Yields:
        Each lesson and what it took.
    """
    build.build(folder)
    for lesson in CATALOG:
        path = build.student_path(folder, lesson)
        if not path.is_file() or (numbers and lesson.number not in numbers):
            continue
        notebook = nbformat.read(path, as_version=4)
        taken = execute(notebook, folder)
        _store(folder, lesson, taken)
        for target in (path, build.solution_path(folder, lesson)):
            _take_outputs(target, notebook)
        build.build(folder)
        if ran:
            notebook.cells[0].source = nbformat.read(path, as_version=4).cells[0].source
            ran(lesson, notebook)
        yield lesson, taken


def write_pictures(folder: Path, target: Path) -> Iterator[Path]:
    """Write the first picture that each notebook keeps as `lesson-NN.png` or `.jpeg`.

    Args:
        folder: the notebooks' folder.
        target: made if need be.

    Yields:
        The files written.
    """
    target.mkdir(parents=True, exist_ok=True)
    for lesson in CATALOG:
        path = build.solution_path(folder, lesson)
        if not path.is_file():
            continue
        outputs = [out for cell in nbformat.read(path, as_version=4).cells for out in cell.get("outputs", [])]
        kept = [(k, out.data[k]) for out in outputs for k in ("image/png", "image/jpeg") if k in out.get("data", {})]
        for kind, data in kept[:1]:
            file = target / f"lesson-{lesson.number}.{kind.partition('/')[2]}"
            file.write_bytes(base64.b64decode(data))
            yield file


def offline_environment() -> dict[str, str]:
    """The caller's environment without keys, with the package first on the path and connections refused."""
    environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name.upper())}
    root = Path(__file__).parents[2]
    paths = [str(_GUARD), str(root), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment.setdefault("OMP_NUM_THREADS", "2")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait shall sleep, not count as processor time
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


def _store(folder: Path, lesson: Lesson, taken: Measurement) -> None:
    measured = build.read_measured(folder)
    measured[lesson.number] = {
        "seconds": round(taken.seconds, 1),
        "cpu_seconds": round(taken.cpu_seconds, 1),
        "peak_megabytes": round(taken.peak_megabytes),
    }
    text = json.dumps(dict(sorted(measured.items())), indent=2) + "\n"
    (folder / build.MEASURED).write_text(text, encoding="utf-8")


def _take_outputs(path: Path, run_notebook: NotebookNode) -> None:
    """Put the outputs that a notebook keeps into its file; all others stay out of it."""
    notebook = nbformat.read(path, as_version=4)
    done = {cell.source: cell for cell in run_notebook.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if "keep_output" in cell.metadata.tags and cell.source in done:
            cell.outputs = [output for output in done[cell.source].outputs if _viewers_can_show(output)]
            cell.execution_count = done[cell.source].execution_count
    build.write(notebook, path)


def _viewers_can_show(output: NotebookNode) -> bool:
    """Whether an output makes sense without a kernel and without widget state; warnings are left out as well."""
    if output.output_type == "stream":
        return output.name == "stdout"
    return not any("widget-view" in kind for kind in output.get("data", {}))


def _peak_megabytes(process: psutil.Process) -> float:
    """Largest resident memory so far; where the system does not keep it, the present one."""
    if sys.platform == "linux":
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
    return process.memory_info().rss / 2**20
