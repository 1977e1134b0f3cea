"""What shows traces: keyframes left unstyled have no gap (NaN); a computation ends with its interpreter."""

import json
import math
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np

from flowedit.widgets import AlphaExplorer, ResidualInspector
from flowedit.widgets._jobs import Job
from flowedit.widgets.demo import KEYFRAMES, demo_clip, partial_edit, run_trace

LEAVES = """
import time
from flowedit.widgets import AlphaExplorer
from flowedit.widgets.demo import alpha_run
def slowly(alpha):
    try:
        while True:
            time.sleep(0.01)
            yield 1, 2
    finally:
        print("stopped", flush=True)
widget = AlphaExplorer([alpha_run(3.0)], compute=slowly)
widget.observe(lambda change: print("told", change["new"]["state"], flush=True), "job")
widget.compute(5.0)
time.sleep(0.3)
print("leaving", flush=True)
"""


def unstyled(trace, *places):
    """`trace` as a run whose keyframes at `places` were left unstyled."""
    for i, step in enumerate(trace.steps):
        gaps = tuple(math.nan if k in places else gap for k, gap in enumerate(step.gap_norm))
        trace.steps[i] = replace(step, gap_norm=gaps)
    return trace


def test_a_partial_edit_keeps_the_source_at_an_unstyled_keyframe():
    """Catches NaN spread over frames, where a cast makes black of it, and a change to the other keyframes' frames."""
    source, edited = demo_clip(33, 16, 24)
    whole, part = (partial_edit(source, edited, t) for t in (run_trace(5.0), unstyled(run_trace(5.0), 1)))
    near = np.abs(np.arange(33)[:, None] - KEYFRAMES).argmin(axis=1) == 1
    np.testing.assert_array_equal(part[near], source[near])
    np.testing.assert_array_equal(part[~near], whole[~near])


def test_traces_without_a_gap_are_plain_numbers_and_dashes():
    """Catches NaN on its way to a page, where it is no JSON, and in the table that shows without a script."""
    inspector = ResidualInspector(unstyled(run_trace(), 0, 1, 2))
    assert inspector.trace["steps"][0]["gap_norm"] == [None, None, None]
    frames = demo_clip(5, 16, 24)[0]
    explorer = AlphaExplorer([(1.0, frames, unstyled(run_trace(1.0), 0, 1, 2), {})])
    for widget in (inspector, explorer):
        text = widget.fallback()
        assert "\N{EN DASH}</td>" in text
        assert ">nan<" not in text
        json.dumps(widget.saved_state(), allow_nan=False)


def test_a_computation_ends_with_its_interpreter():
    """Catches a thread that is left to write to a channel that is being closed."""
    done = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.split("leaving\n")[1] == "stopped\n"


def test_a_closed_job_says_nothing_and_starts_nothing():
    heard, go = [], threading.Event()
    job = Job(heard.append)

    def work():
        while not go.wait(0.01):
            yield 0, 1

    job.start(work, heard.append)
    heard.clear()
    job.close()
    assert not job.running
    assert heard == []
    assert not job.start(work, heard.append)
    assert job.closed
