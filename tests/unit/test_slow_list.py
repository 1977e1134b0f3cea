"""The list of tests that `make check` leaves out: every name on it is a test, and is left out."""

import ast
import runpy
import subprocess
import sys
import textwrap
from itertools import groupby
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMES = [line.split()[1] for line in (HERE / "slow.txt").read_text(encoding="utf-8").splitlines()]


def defined_in(body, prefix):
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield f"{prefix}::{node.name}"
        elif isinstance(node, ast.ClassDef):
            yield from defined_in(node.body, f"{prefix}::{node.name}")


@pytest.mark.parametrize("file", sorted({name.split("::")[0] for name in NAMES}))
def test_every_name_is_a_test(file):
    """Catches: a test that was renamed, and is run by `make check` again since."""
    (path,) = (path for room in (HERE, HERE.parent / "media") if (path := room / file).is_file())
    known = set(defined_in(ast.parse(path.read_text(encoding="utf-8")).body, file))
    assert {name for name in NAMES if name.startswith(f"{file}::")} <= known


def test_what_is_on_the_list_is_left_out_and_what_takes_longest_begins_first():
    """Catches a hook that marks tests after they were chosen by their marks, and files in the order of their names."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-o", "addopts=", "-q", "-m", "not slow"]
    files = [HERE / name for name in ("test_flow.py", "test_metrics.py", "test_baselines.py")]
    said = subprocess.run([*command, *files], capture_output=True, text=True, check=True).stdout
    order = [line.rpartition("/")[2].split("[")[0] for line in said.splitlines() if "::" in line]
    assert len({name for name in NAMES if name.startswith("test_baselines.py")}) > 1
    assert not set(order) & set(NAMES)
    named = [name for name, _ in groupby(line.split("::")[0] for line in order)]
    assert (named[0], len(named)) == ("test_baselines.py", 3), "a file is not torn apart"


def test_a_log_is_read_case_by_case():
    """Catches: names that lose their class, cases that count as one, and the seconds of setting up left out."""
    slow_tests = runpy.run_path(str(HERE.parents[1] / "tools" / "slow_tests.py"))["slow_tests"]
    log = """
        0.70s call     tests/unit/test_a.py::test_b[a case of two words]
        0.40s setup    tests/unit/test_a.py::test_b[a case of two words]
        0.90s call     tests/unit/test_a.py::test_c[1]
        0.90s call     tests/unit/test_a.py::test_c[2]
        1.10s call     tests/unit/test_a.py::TestD::test_e
        9.00s call     tests/notebooks/test_f.py::test_g
        2.00s call     tests/media/test_h.py::test_i
    """
    named = ["1.1 test_a.py::TestD::test_e", "1.1 test_a.py::test_b", "2.0 test_h.py::test_i"]
    assert slow_tests(textwrap.dedent(log)) == named
