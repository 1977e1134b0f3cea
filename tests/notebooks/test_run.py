"""Lessons run: offline, within what their headers say, stubs open and solutions right, values as stored."""

import ast
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import nbformat
import psutil
import pytest

from notebooks.publish import build
from notebooks.publish.guard import Watch, offline_environment, own_megabytes, refused_connections, tree_megabytes
from notebooks.publish.run import execute
from notebooks.publish.yardstick import mean, measure, pace
from tests.notebooks.lessons_on_disk import FOLDER, LESSONS, ROOT, exercises_of, source_of

SLACK, NOISE_SECONDS = 1.25, 2
"""How many times, and how many seconds, more than was measured when its header was written a lesson may take, in
processor time: starting Python takes a busy machine a second more, which a lesson of three seconds would not be
forgiven otherwise."""
SLOWEST = 4
"""How many times slower than where the lessons were measured a machine may be for a comparison to mean something."""
SCATTER = 2
"""How far two measurements on one machine may lie apart in the kind of work that scatters most (1.8 was seen within ten
minutes, in filling memory); two machines differed fourfold. By as much, at worst, a lesson may be too slow unseen."""
LONGEST_SECONDS, ALL_SECONDS = 180, 1200
"""Budgets of one lesson and of all, by the clock of a machine that does nothing else, on which they are measured."""
EXERCISE = ("solution", "check")
NBVAL = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=3600", "-p", "no:cacheprovider", "-q"]

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)


@dataclass(frozen=True)
class Ran:
    """What nbval said, and what its kernel took."""

    passed: bool
    said: str
    cpu_seconds: float
    peak_megabytes: float
    resident_megabytes: float


def nbval(path, log):
    """Execute a notebook against its stored values, and watch its kernel with all that this starts."""
    environment = {**offline_environment(), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", *NBVAL, str(path)]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        with Watch(lambda: kernel_of(process.pid)) as watch:
            status = process.wait()
    taken = (watch.processor_seconds, watch.peak_megabytes, watch.resident_megabytes)
    return Ran(status == 0, log.read_text(encoding="utf-8"), *taken)


def kernel_of(pid):
    """The kernel among a process's descendants, or None."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        return next((one.pid for one in below if "ipykernel_launcher" in one.cmdline()), None)
    except psutil.Error:
        return None


def allowed_seconds(measured, yardstick):
    """Processor seconds that a lesson may take where the fixed pieces of work take `yardstick` just now."""
    slower = pace(yardstick, measured["yardstick"])
    assert slower < SLOWEST, f"this machine is {slower:.1f} times slower: run `make lessons` here"
    return SLACK * measured["cpu_seconds"] * slower + NOISE_SECONDS


def printed(notebook, tag):
    for cell in notebook.cells:
        if build.part(cell) == tag and cell.cell_type == "code":
            for output in cell.outputs:
                yield output.get("data", {}).get("text/plain", "") or output.get("text", "")


@pytest.mark.slow
@pytest.mark.alone
@every_lesson
def test_a_student_can_run_everything_and_the_stored_values_come_back(lesson, tmp_path):
    """Catches a cell that needs a solved exercise, a changed value, a reach for the network, a header that lies."""
    measured = build.read_measured(FOLDER)[lesson.number]
    assert "yardstick" in measured, "measured without a yardstick: run `make lessons`"
    before = measure()
    with refused_connections(tmp_path / "refused") as refused:
        ran = nbval(build.student_path(FOLDER, lesson), tmp_path / "said")
    after = measure()
    assert ran.passed, ran.said[:6000]
    assert refused == []
    assert measured["peak_megabytes"] / 2 < ran.peak_megabytes, "the kernel was not measured"
    assert ran.peak_megabytes <= SLACK * measured["peak_megabytes"]
    assert ran.cpu_seconds <= allowed_seconds(measured, mean(before, after))
    assert ran.peak_megabytes < ran.resident_megabytes <= lesson.memory


def test_a_slow_machine_gets_more_time_and_a_slow_lesson_does_not():
    """Catches an allowance that any lesson keeps, and one that only the machine of the measurement keeps."""
    measured = {"cpu_seconds": 100.0, "yardstick": {"convolution": 1.0, "python": 2.0}}
    assert allowed_seconds(measured, {"convolution": 1.3, "python": 2.0}) >= 150
    assert allowed_seconds(measured, {"convolution": 1.0, "python": 2.6}) >= 150
    assert allowed_seconds(measured, {"convolution": 1.0, "python": 2.0}) < 140
    assert allowed_seconds(measured, {"convolution": 0.7, "python": 1.4}) < 100
    with pytest.raises(AssertionError, match="make lessons"):
        allowed_seconds(measured, {"convolution": SLOWEST, "python": 2.0})
    with pytest.raises(KeyError, match="python"):
        allowed_seconds(measured, {"convolution": 1.0})


@pytest.mark.slow
@pytest.mark.alone
def test_the_yardstick_scatters_less_than_machines_differ():
    """Catches a piece of work whose own scatter decides: too short, or fed by what chance left in a cache."""
    first, second, third, fourth = (measure() for _ in range(4))
    assert min(first.values()) > 0.02
    one, other = mean(first, second), mean(third, fourth)
    assert max(pace(one, other), pace(other, one)) < SCATTER


def test_what_a_lesson_starts_counts_as_its_own(tmp_path):
    """Catches minutes and memory that a lesson hides in another process."""
    burn = "import time\nheld = b'x' * 150_000_000\nwhile time.process_time() < 1.5: pass"
    text = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}], check=True)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text, metadata={"tags": ["code"]})])
    taken = execute(notebook, tmp_path)
    assert taken.cpu_seconds > 1.5
    assert taken.peak_megabytes > 150


@every_lesson
def test_the_measured_lesson_is_within_its_budget(lesson):
    measured = build.read_measured(FOLDER)[lesson.number]
    assert measured["peak_megabytes"] <= lesson.memory
    assert measured["seconds"] <= LONGEST_SECONDS


def test_all_lessons_together_are_within_their_budget():
    assert sum(taken["seconds"] for taken in build.read_measured(FOLDER).values()) <= ALL_SECONDS


@every_lesson
def test_no_later_cell_depends_on_an_exercise(lesson):
    """Catches a lesson that stops for who has not solved it, or whose outcome depends on the answer.

    With `test_the_notebooks_are_built_from_the_source` it follows that both builds run alike outside their exercises.
    """
    for name, stub, check, _ in exercises_of(lesson):
        answer = ast.parse(stub).body[-1].name
        others = [c.source for c in source_of(lesson).cells if c.cell_type == "code" and build.part(c) != "setup"]
        users = [text for text in others if answer in names_read(text)]
        assert users == [check], name


@every_lesson
def test_solutions_pass_after_the_imports_above_them(lesson):
    """Catches a solution that needs a name which its notebook imports only further down."""
    cells = build.solution(source_of(lesson), lesson, {}).cells
    kept = [cells[1]]
    for cell in (c for c in cells[2:] if c.cell_type == "code"):
        if build.part(cell) in EXERCISE:
            kept.append(cell)
        elif "skip-execution" not in cell.metadata.tags:
            text = "\n".join(imports_of(cell.source))
            kept.append(nbformat.v4.new_code_cell(text, metadata={"tags": ["code"]}))
    notebook = nbformat.v4.new_notebook(cells=kept)
    execute(notebook, FOLDER)
    texts = list(printed(notebook, "check"))
    assert len(texts) == len(list(exercises_of(lesson)))
    assert all(" passed: " in text for text in texts), texts


def names_read(text):
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def imports_of(text):
    return [ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]


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


def test_pages_of_mapped_files_do_not_count(tmp_path):
    """Catches a header that says how much of torch's files this machine happened to hold."""
    (tmp_path / "file").write_bytes(bytes(100 << 20))
    reads = "import mmap; f = open('file', 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); sum(m[::4096])"
    keeps = "b = b'x' * (50 << 20); print('held', flush=True); input()"
    command = [sys.executable, "-c", f"{reads}; {keeps}"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert tree_megabytes(process.pid) > 150
        assert 50 < own_megabytes(process.pid) < 100
        with Watch(lambda: process.pid) as watch:
            time.sleep(0.3)
        assert 50 < watch.peak_megabytes < 100
        process.communicate("\n")
