"""A run killed with signal 9 goes on and ends with the frames of an unbroken one; a state never serves another edit."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_tiny import random_pipeline
from test_stored_state import mutated

from flowedit.edit.resuming import STATE, ResumeState, StateKeeper
from flowedit.edit.steps import edit_steps, prepare
from flowedit.errors import ModelError
from flowedit.files import digest_of
from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings
from flowedit.trace import StepTrace
from flowedit.wan.adapter import WanVideo

SETTINGS = EditSettings.of(steps=8, conditioning="both", alpha=4.0, strength=1.0 - 1e-6, beta=0.5)


@pytest.fixture(scope="module")
def model():
    return WanVideo(random_pipeline(1), name="small")


def edit(model, settings=SETTINGS, seed=0):
    drawn = np.random.default_rng(seed)
    frames = drawn.integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
    return prepare(frames, [Keyframe(0, 255 - frames[0]), Keyframe(8, 255 - frames[8])], model, settings)


@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS.with_(method="difference", guidance=1.0)])
def test_the_remaining_steps_are_those_of_an_unbroken_run(model, tmp_path, settings):
    whole = list(edit_steps(edit(model, settings)))
    broken = edit(model, settings)
    keeper = StateKeeper(tmp_path, broken, every=3)
    for step in edit_steps(broken):
        keeper.keep(step)
        if step.trace.step == 4:
            break
    again = edit(model, settings)
    rest = list(edit_steps(again, StateKeeper(tmp_path, again, every=3).load()))
    assert [step.trace.step for step in rest] == list(range(3, len(whole)))
    for found, expected in zip(rest, whole[3:], strict=True):
        assert torch.equal(found.latents, expected.latents)
        assert torch.equal(found.x_key, expected.x_key)
    assert [t.sigma for t in again.trace.steps] == [s.trace.sigma for s in whole]
    assert again.trace.steps[1].gap_norm == whole[1].trace.gap_norm


def test_another_edits_state_is_refused(model, tmp_path):
    prepared = edit(model)
    keeper = StateKeeper(tmp_path, prepared, every=1)
    assert keeper.load() is None, "nothing to go on with is no error"
    keeper.keep(next(edit_steps(prepared)))
    mask = np.ones((9, 32, 48), np.float32)
    for other in ((edit(model, SETTINGS.with_(alpha=5.0)),), (edit(model, seed=1),), (prepared, mask)):
        with pytest.raises(ModelError, match="other settings"):
            StateKeeper(tmp_path, *other).load()
    assert keeper.load() is not None


SCRIPT = """
import os, sys
from pathlib import Path
import numpy as np
from flowedit.run import editing
from flowedit.run import job as runner
from flowedit.settings import EditSettings
from safetensors.torch import save_file
from small_tiny import random_pipeline
from test_stored_state import mutated
from flowedit.wan.adapter import WanVideo

editing.load_model = lambda name, **_: WanVideo(random_pipeline(1), name="tiny")
folder, output, kill_at, resume = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "resume"

def watch(stage, done, total, step):
    if stage == "denoising" and done == kill_at:
        os.kill(os.getpid(), 9)

runner.run_edit(runner.EditRequest(
    video=folder / "clip.mp4", keyframes=[(0, folder / "key.png"), (8, folder / "key.png")], output=output,
    settings=EditSettings(steps=8, detail="plain"), num_frames=9, size=(32, 48), lossless=True, resume=resume), watch)
"""


def run(folder, output, kill_at, resume=False):
    arguments = [str(folder), str(output), str(kill_at), "resume" if resume else "begin"]
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.run(command, cwd=Path(__file__).parent, timeout=300, check=False)


def test_a_run_killed_with_signal_9_ends_with_the_same_frames(tmp_path):
    from flowedit.media.clip import read_video, write_image, write_video

    frames = np.random.default_rng(3).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "clip.mp4", frames, 8, lossless=True)
    write_image(tmp_path / "key.png", frames[0])
    assert run(tmp_path, tmp_path / "whole", 0).returncode == 0
    assert run(tmp_path, tmp_path / "cut", 7).returncode == -signal.SIGKILL
    assert (tmp_path / "cut" / STATE).exists()
    assert not (tmp_path / "cut" / "run.json").exists()
    assert run(tmp_path, tmp_path / "cut", 5, resume=True).returncode == 0, "steps that were done were run again"
    assert not (tmp_path / "cut" / STATE).exists()
    expected, found = (read_video(tmp_path / name / "edited.mp4").frames for name in ("whole", "cut"))
    assert np.array_equal(found, expected)
    left, expected = (sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("cut", "whole"))
    assert left == expected


def state(**changes):
    read = {"r_k_norm": (0.1, math.nan), "v_diff_norm": (0.2,), "z_diff_norm": (1e-9,), "gap_norm": (math.pi,)}
    traces = tuple(StepTrace(step=i, sigma=0.9, sigma_next=0.5, kappa=0.1, **read) for i in range(2))
    return ResumeState(**{"traces": traces, "carried": (torch.arange(12.0).view(3, 4), torch.ones(5)), **changes})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_every_bit_type_and_reading_comes_back(tmp_path, dtype):
    turned = torch.arange(6.0).view(2, 3).T  # a view of another storage
    saved = state(carried=(torch.full((2, 3), math.pi, dtype=dtype), torch.arange(6.0), turned))
    saved.save(tmp_path / "run" / "s.safetensors", "abc")
    found = ResumeState.load(tmp_path / "run" / "s.safetensors", "abc")
    assert repr(found.traces) == repr(saved.traces)
    for one, two in zip(found.carried, saved.carried, strict=True):
        assert one.dtype == two.dtype
        assert torch.equal(one, two)


@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_state_is_the_same_or_refused(tmp_path, seed):
    """Tracebacks of nine kinds, and states of other readings and latents that were gone on with."""
    path = tmp_path / "state.safetensors"
    state().save(path, "edit")
    whole = path.read_bytes()
    path.write_bytes(mutated(whole, seed))
    try:
        found = ResumeState.load(path, "edit")
    except ModelError as error:
        assert "delete it to start from the beginning" in str(error)
        return
    assert repr(found.traces) == repr(state().traces)
    assert all(map(torch.equal, found.carried, state().carried))


def test_latents_turned_over_and_some_other_file_are_refused(tmp_path):
    """A header that says 4 x 3 in place of 3 x 4 is a whole file."""
    path = tmp_path / "state.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="no saved state of this"):
        ResumeState.load(path, "edit")
    state().save(path, "edit")
    assert path.read_bytes().count(b"[3,4]") == 1
    path.write_bytes(path.read_bytes().replace(b"[3,4]", b"[4,3]"))
    with pytest.raises(ModelError, match="damaged"):
        ResumeState.load(path, "edit")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match="damaged"):
        ResumeState.load(path, "edit")


def test_every_part_of_an_edit_changes_the_digest():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    changed = frames.copy()
    changed[1, 0, 0, 0] = 1
    exact, euler = EditSettings().to_dict(), EditSettings.of(gain="euler").to_dict()
    base = (exact, "1.3B", frames)
    assert digest_of(*base) == digest_of(exact, "1.3B", frames.copy())
    others = [(euler, "1.3B", frames), (exact, "14B", frames), (exact, "1.3B", changed), ("1.3B", exact, frames)]
    others.append((exact, "1.3B", frames.reshape(4, 2, 4, 3)))
    assert len({digest_of(*parts) for parts in (base, *others)}) == 6
    assert digest_of("ab", "c") != digest_of("a", "bc")
    assert digest_of(b"x", b"y") != digest_of(b"xbytesy")


SAVER = textwrap.dedent("""
    import sys, torch
    from pathlib import Path
    from flowedit.edit.resuming import ResumeState
    for step in range(1, 10_000):
        ResumeState(traces=(), carried=(torch.full((1 << 16,), float(step)),)).save(Path(sys.argv[1]), "abc")
        print(step, flush=True)
""")


def test_a_kill_at_any_moment_leaves_a_whole_state(tmp_path):
    path = tmp_path / "state.safetensors"
    saver = subprocess.Popen([sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, text=True)
    for _ in range(5):
        assert saver.stdout.readline()
    time.sleep(0.037)
    saver.send_signal(signal.SIGKILL)
    printed = [int(line) for line in saver.stdout]
    saver.wait()
    (values,) = ResumeState.load(path, "abc").carried
    assert values[0] >= max(printed, default=5)
    assert (values == values[0]).all()
