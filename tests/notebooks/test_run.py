"""Lessons run: offline, within what their headers say, stubs open and solutions right, values as stored."""

import os
import subprocess
import sys

import nbformat
import pytest

from flowedit.lessons import build
from flowedit.lessons.run import execute, offline_environment, refused_connections
from tests.notebooks.lessons_on_disk import FOLDER, LESSONS, ROOT

SLACK, STARTING_SECONDS = 1.25, 10
LONGEST_SECONDS = 180

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)


def printed(notebook, tag):
    for cell in notebook.cells:
        if build.part(cell) == tag and cell.cell_type == "code":
            for output in cell.outputs:
                yield output.get("data", {}).get("text/plain", "") or output.get("text", "")


@pytest.mark.slow
@every_lesson
def test_a_student_can_run_everything_before_solving_anything(lesson, tmp_path):
    """Catches a cell that needs a solved exercise, a lesson that reaches for the network, and a header that lies."""
    notebook = nbformat.read(build.student_path(FOLDER, lesson), as_version=4)
    with refused_connections(tmp_path / "refused") as refused:
        taken = execute(notebook, FOLDER)
    assert refused == []
    assert all(" open: " in text for text in printed(notebook, "check"))
    measured = build.read_measured(FOLDER)[lesson.number]
    assert taken.peak_megabytes <= SLACK * measured["peak_megabytes"]
    assert taken.cpu_seconds <= SLACK * measured["cpu_seconds"] + STARTING_SECONDS
    assert taken.peak_megabytes <= lesson.memory


@every_lesson
def test_the_measured_lesson_is_within_its_budget(lesson):
    measured = build.read_measured(FOLDER)[lesson.number]
    assert measured["peak_megabytes"] <= lesson.memory
    assert measured["cpu_seconds"] <= 2 * LONGEST_SECONDS


@pytest.mark.slow
@every_lesson
def test_with_solutions_the_stored_values_come_back(lesson):
    """Catches a value that is the lesson's point and has changed: nbval compares it with the stored one."""
    path = build.solution_path(FOLDER, lesson)
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=3600", "-p", "no:cacheprovider", "-q"]
    command = [sys.executable, "-m", "pytest", *options, str(path)]
    environment = {**offline_environment(), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
def test_every_exercise_passes_with_its_solution_inside_the_notebook():
    """Catches a solution that passes alone and fails after the cells before it."""
    lesson = next(entry for entry in LESSONS if entry.number == "01")
    notebook = nbformat.read(build.solution_path(FOLDER, lesson), as_version=4)
    execute(notebook, FOLDER)
    texts = list(printed(notebook, "check"))
    assert len(texts) == 2
    assert all(" passed: " in text for text in texts)


def test_keys_do_not_reach_a_lesson(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "secret")
    assert "SOME_API_KEY" not in offline_environment()


def test_a_lesson_that_reaches_for_the_network_is_noticed(tmp_path):
    """Catches a guard that guards nothing."""
    cell = nbformat.v4.new_code_cell(
        "import socket\ntry:\n    socket.create_connection(('192.0.2.1', 80), timeout=2)\nexcept OSError as error:\n"
        "    print(type(error).__name__)",
        metadata={"tags": ["code"]},
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    with refused_connections(tmp_path / "refused") as refused:
        execute(notebook, tmp_path)
    assert notebook.cells[0].outputs[0].text.strip() == "ConnectionRefusedError"
    assert refused == ["192.0.2.1"]


def test_the_kernel_uses_this_package():
    """Catches lessons that run against another installed version."""
    assert offline_environment()["PYTHONPATH"].split(os.pathsep)[1] == str(ROOT)
