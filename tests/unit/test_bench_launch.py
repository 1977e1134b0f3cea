"""A command in a process of its own, with what it alone took."""

import sys

import pytest

from benchmarks.launch import launch
from flowedit.errors import ModelError


def python(code):
    return [sys.executable, "-c", code]


def test_a_run_is_timed_with_its_own_memory():  # catches: the peak of all children so far, or of this process
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])  # this process's own peak is above both
    large = launch(python("x = bytearray(200_000_000)"))
    small = launch(python("import time; time.sleep(0.3)"))
    assert 200 < large.megabytes < 260
    assert small.megabytes < 60
    assert small.seconds > 0.3
    assert small.processor < small.seconds
    assert small.others >= 0


def test_a_run_sees_no_gpu_and_a_failing_one_is_named():
    launch(python("import os, sys; sys.exit(os.environ['CUDA_VISIBLE_DEVICES'] != '')"))
    with pytest.raises(ModelError, match="ended with status 3"):
        launch(python("raise SystemExit(3)"))


def test_a_run_may_be_kept_to_some_cores():
    launch(python("import os, sys; sys.exit(len(os.sched_getaffinity(0)) != 1)"), cores=1)
