"""A saved state survives a kill at any moment, and is never taken into another run."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flowedit.errors import ModelError, OutputError
from flowedit.settings import EditSettings
from flowedit.wan import resume


def test_every_bit_and_type_comes_back(tmp_path):
    tensors = {"latents": torch.randn(1, 2, 3), "noise": torch.randn(4).to(torch.bfloat16), "ids": torch.arange(3)}
    resume.save_state(tmp_path / "run" / "state.safetensors", 7, tensors, "abc")
    step, found = resume.load_state(tmp_path / "run" / "state.safetensors", "abc")
    assert step == 7
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_views_of_one_storage_are_saved_each(tmp_path):
    whole = torch.arange(6.0).view(2, 3)
    resume.save_state(tmp_path / "s.safetensors", 1, {"whole": whole, "turned": whole.T}, "abc")
    assert torch.equal(resume.load_state(tmp_path / "s.safetensors", "abc").tensors["turned"], whole.T)


def test_no_state_is_no_error(tmp_path):
    assert resume.load_state(tmp_path / "none.safetensors", "abc") is None


def test_another_runs_state_is_refused(tmp_path):
    resume.save_state(tmp_path / "s.safetensors", 1, {"x": torch.zeros(1)}, "abc")
    with pytest.raises(ModelError, match="other settings"):
        resume.load_state(tmp_path / "s.safetensors", "abd")


@pytest.mark.parametrize("content", [b"", b"nonsense" * 9])
def test_a_broken_file_is_refused(tmp_path, content):
    (tmp_path / "s.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="Delete it"):
        resume.load_state(tmp_path / "s.safetensors", "abc")


def test_some_other_safetensors_file_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "s.safetensors")
    with pytest.raises(ModelError, match="not written by"):
        resume.load_state(tmp_path / "s.safetensors", "abc")


def test_a_failed_write_leaves_the_old_state_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "s.safetensors"
    resume.save_state(path, 1, {"x": torch.zeros(1)}, "abc")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        resume.save_state(path, 2, {"x": torch.ones(1)}, "abc")
    assert resume.load_state(path, "abc").step == 1
    assert list(tmp_path.iterdir()) == [path]


def test_every_setting_and_array_changes_the_digest():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    base = resume.hash_settings(EditSettings(), "1.3B", frames)
    assert base == resume.hash_settings(EditSettings(), "1.3B", frames.copy())
    changed = frames.copy()
    changed[1, 0, 0, 0] = 1
    others = [
        resume.hash_settings(EditSettings.of(alpha=9.0), "1.3B", frames),
        resume.hash_settings(EditSettings(), "14B", frames),
        resume.hash_settings(EditSettings(), "1.3B", changed),
        resume.hash_settings(EditSettings(), "1.3B", frames.reshape(4, 2, 4, 3)),
        resume.hash_settings("1.3B", EditSettings(), frames),
    ]
    assert len({base, *others}) == 6


def test_parts_do_not_run_together():
    assert resume.hash_settings("ab", "c") != resume.hash_settings("a", "bc")
    assert resume.hash_settings(b"x", b"y") != resume.hash_settings(b"xbytesy")


SAVER = textwrap.dedent("""
    import sys, torch
    from pathlib import Path
    from flowedit.wan.resume import save_state
    for step in range(1, 10_000):
        save_state(Path(sys.argv[1]), step, {"x": torch.full((1 << 16,), float(step))}, "abc")
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
    step, tensors = resume.load_state(path, "abc")
    assert step >= max(printed, default=5)
    assert (tensors["x"] == step).all()
