"""Run lessons without network or keys, measure what each takes, and keep the outputs that its notebooks show."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from flowedit.lessons.catalog import CATALOG, Lesson
from notebooks.publish import build
from notebooks.publish.guard import Watch, offline_environment
from notebooks.publish.yardstick import mean, measure


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What running one notebook took.

    Attributes:
        seconds: wall-clock time of all cells, without the kernel's start.
        cpu_seconds: processor time of the kernel and what it started.
        peak_megabytes: largest memory of the kernel and what it started, without the pages of mapped files.
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
        begun = time.perf_counter()
        with Watch(lambda: client.km.provisioner.pid) as watch:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        seconds = time.perf_counter() - begun
        client.set_widgets_metadata()
    return Measurement(seconds=seconds, cpu_seconds=watch.processor_seconds, peak_megabytes=watch.peak_megabytes)


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
        before = measure()
        taken = execute(notebook, folder)
        _store(folder, lesson, taken, mean(before, measure()))
        for target in (path, build.solution_path(folder, lesson)):
            _take_outputs(target, notebook)
        build.build(folder)
        if ran:
            notebook.cells[0].source = nbformat.read(path, as_version=4).cells[0].source
            ran(lesson, notebook)
        yield lesson, taken


def write_pictures(folder: Path, target: Path) -> Iterator[Path]:
    """Write the first picture that each notebook keeps as `lesson-NN.png` or `.jpeg`, in place of an earlier one.

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
            for old in target.glob(f"lesson-{lesson.number}.*"):
                old.unlink()
            file = target / f"lesson-{lesson.number}.{kind.partition('/')[2]}"
            file.write_bytes(base64.b64decode(data))
            yield file


def _store(folder: Path, lesson: Lesson, taken: Measurement, yardstick: Mapping[str, float]) -> None:
    measured = build.read_measured(folder)
    measured[lesson.number] = {
        "seconds": round(taken.seconds, 1),
        "cpu_seconds": round(taken.cpu_seconds, 1),
        "peak_megabytes": round(taken.peak_megabytes),
        "yardstick": {name: round(seconds, 3) for name, seconds in yardstick.items()},
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
