"""What shows traces: keyframes left unstyled have no gap (NaN); a computation ends with its interpreter."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flowedit.widgets import AgentTrace, AlphaExplorer, KeyframeGallery, ResidualInspector
from tests.browser.examples import demo_clip, run_trace

LEAVES = """
import time
from flowedit.widgets import AlphaExplorer
from tests.browser.examples import alpha_run
def slowly(alpha):
    try:
        while True:
            time.sleep(0.01)
            yield 1, 2
    finally:
        print("stopped", flush=True)
widget = AlphaExplorer([alpha_run(3.0)], compute=slowly)
widget.observe(lambda change: print("told", change["new"]["state"], flush=True), "job")
widget._asked({"type": "compute", "alpha": 5.0})
time.sleep(0.3)
print("leaving", flush=True)
"""


def unstyled(trace, *places):
    """`trace` as a run whose keyframes at `places` were left unstyled."""
    for i, step in enumerate(trace.steps):
        gaps = tuple(math.nan if k in places else gap for k, gap in enumerate(step.gap_norm))
        trace.steps[i] = replace(step, gap_norm=gaps)
    return trace


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
        json.dumps(widget.packed().state, allow_nan=False)


def test_a_computation_ends_with_its_interpreter():
    """Catches a thread that is left to write to a channel that is being closed."""
    done = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.split("leaving\n")[1] == "stopped\n"


def textured(seed, height=240, width=320):
    """A picture that is hard to compress."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_runs_that_join_leave_the_explorer_within_its_size():
    """Catches a size fixed by the runs given at first: each run that joins would add its full share."""
    trace = run_trace(1.0)
    clips = [np.stack([textured(9 * i + k, 72, 96) for k in range(9)]) for i in range(3)]
    explorer = AlphaExplorer([(0.0, clips[0], trace, {})], source=clips[1])
    sizes, last = [], explorer.runs[0]["clip"]["bytes"]
    for alpha in range(1, 12):
        explorer.add((float(alpha), clips[alpha % 3], trace, {}))
        sizes.append(len(json.dumps(explorer.packed().state)))
    assert max(sizes) < 1_000_000
    assert [run["alpha"] for run in explorer.runs] == [float(alpha) for alpha in range(12)]
    assert explorer.runs[0]["clip"]["bytes"] < last  # encoded anew
    assert sizes[-1] > 400_000  # and not far more than needed


def test_a_record_keeps_each_picture_once_and_stays_within_its_size(tmp_path):
    for i in range(61):
        Image.fromarray(textured(i)).save(tmp_path / f"{i}.png")
    events = [
        {"node": "style", "keyframe": i, "images": ["0.png", f"{i + 1}.png"], "prompt": "paint " * 20}
        for i in range(60)
    ]
    trace = AgentTrace(events, folder=tmp_path)
    assert len(trace.pictures) == 61
    assert trace.events[0]["pictures"][0] == trace.events[59]["pictures"][0] == {"name": "0.png", "key": "0.png"}
    assert 300_000 < len(json.dumps(trace.packed().state)) < 1_000_000


def test_many_large_keyframes_stay_within_a_widgets_size():
    pairs = [(textured(2 * i), textured(2 * i + 1), 4 * i, {"reasons": ["Too pale."]}) for i in range(24)]
    assert 300_000 < len(json.dumps(KeyframeGallery(pairs).packed().state)) < 1_000_000


@pytest.mark.parametrize("open_one", [{}, {"4": {"action": "redo", "reason": " "}}])
def test_an_answer_with_open_questions_is_refused(open_one):
    """Catches a keyframe sent back to the agent, or passed over, without a word."""
    asked = []
    gallery = KeyframeGallery([(textured(i), textured(i), i, {}) for i in (0, 4)], resume=asked.append)
    gallery._asked({"type": "resume", "decisions": {"0": {"action": "approve"}, **open_one}})
    gallery.worker.wait(5)
    assert gallery.job["state"] == "failed"
    assert "[4] are open" in gallery.job["text"]
    assert asked == []
