"""The list of tests that `make check` leaves out: every name on it is a test, and is left out."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SLOW

HERE = Path(__file__).parent
NAMES = SLOW.read_text(encoding="utf-8").split()


def defined_in(body, prefix):
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield f"{prefix}::{node.name}"
        elif isinstance(node, ast.ClassDef):
            yield from defined_in(node.body, f"{prefix}::{node.name}")


@pytest.mark.parametrize("file", sorted({name.split("::")[0] for name in NAMES}))
def test_every_name_is_a_test(file):
    """Catches: a test that was renamed, and is run by `make check` again since."""
    known = set(defined_in(ast.parse((HERE / file).read_text(encoding="utf-8")).body, file))
    assert {name for name in NAMES if name.startswith(f"{file}::")} <= known


def test_what_is_on_the_list_is_left_out():
    """Catches: a hook that marks tests after they were chosen by their marks, or none that have cases."""
    listed = [name.split("::")[1] for name in NAMES if name.startswith("test_video.py::")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-o", "addopts=", "-q", "-m", "not slow"]
    said = subprocess.run([*command, HERE / "test_video.py"], capture_output=True, text=True, check=True).stdout
    assert listed
    assert "::test_" in said
    assert not [name for name in listed if f"::{name}" in said]
