"""Mistakes planted one at a time in a copy of the project: each turns red the tests that guard against it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MISTAKES = json.loads(Path(__file__).with_name("mistakes.json").read_text(encoding="utf-8"))
"""Of each: its name, the file, the code that is right, the code that is wrong, and the tests that catch it."""
FAILED = 1
"""Pytest's exit status where a test failed; another one says that none ran."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project in a folder of its own, to be spoilt."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("flowedit", "tests", "benchmarks", "training"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake["name"] for mistake in MISTAKES])
def test_a_planted_mistake_is_caught(copy, mistake):  # catches: a guard that was lost when tests were merged
    file = copy / mistake["file"]
    right = file.read_text(encoding="utf-8")
    assert right.count(mistake["right"]) == 1, "the code has changed; plant the mistake anew"
    file.write_text(right.replace(mistake["right"], mistake["wrong"]), encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mistake["tests"]]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    finally:
        file.write_text(right, encoding="utf-8")
    assert ran.returncode == FAILED, ran.stdout[-2000:] + ran.stderr[-2000:]
