"""Tests that need a CUDA device; what they share with the unit tests lies beside those.

`pytest tests/gpu --record FILE` keeps what passed, where, of which commit and how long it took, as JSON.
"""

import functools
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir

import pytest
import torch
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))


def pytest_addoption(parser):
    parser.addoption("--record", type=Path, help="write what passed, and on what, to this JSON file")


def pytest_configure(config):
    if path := config.getoption("--record"):
        config.pluginmanager.register(Recorder(path), "gpu-record")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"))


class Recorder:
    """Writes the record after each test, for a machine may be lost; processes on GPUs of their own may share one."""

    def __init__(self, path):
        self.path = path

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self):
        report = yield
        if report.when == "call" or report.outcome != "passed":
            run = {"date": datetime.now(UTC).date().isoformat(), "commit": commit()}
            outcome = {"outcome": report.outcome, "seconds": round(report.duration, 1)}
            self.add({report.nodeid.rpartition("/")[2]: outcome | run})
        return report

    def add(self, tests):
        from flowedit.environment import machine, versions
        from flowedit.files import write_json

        with FileLock(Path(gettempdir()) / f"{self.path.name}.lock"):
            held = json.loads(self.path.read_text())["tests"] if self.path.exists() else {}
            write_json(self.path, {"machine": machine(), "versions": versions(), "tests": held | tests}, indent=1)


@functools.cache
def commit():
    """The commit that was checked out, or what FLOWEDIT_COMMIT says of a copy without its history."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    return os.environ.get("FLOWEDIT_COMMIT") or subprocess.check_output(asked, text=True).strip()


@pytest.fixture
def moved(monkeypatch):
    """Whatever the vendor's model function is given is moved to the GPU in bfloat16."""
    from flowedit.wan import vendor

    inner = vendor.model_fn_wan_video

    def call(**given):
        tensors = {name: value for name, value in given.items() if isinstance(value, torch.Tensor)}
        return inner(**{**given, **{name: value.to("cuda", torch.bfloat16) for name, value in tensors.items()}})

    monkeypatch.setattr(vendor, "model_fn_wan_video", call)
