"""Paces: what of the fast path each one sets and says, and that several processes give one result."""

import subprocess
import sys
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from small_wan import SmallText, is_fast, small_pipeline

from flowedit.edit.steps import edit_video
from flowedit.errors import ModelError, SettingError
from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings
from flowedit.wan.adapter import LazyGuidance, WanVideo
from flowedit.wan.pace import set_pace
from flowedit.wan.parallel import Spread

FRAMES = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
KEYS = [Keyframe(0, 255 - FRAMES[0]), Keyframe(8, 255 - FRAMES[8])]
GUIDED = EditSettings(conditioning="tokens", steps=4, guidance=3.0, detail="plain")


def model_of(family, name="wan"):
    return WanVideo(small_pipeline(family), name=name, words=SmallText())


def edited(model, settings=GUIDED):
    """The edit's frames, and the prompt of each forward."""
    calls, inner = [], model.pipe.model_fn
    spy = lambda **given: calls.append(id(given["context"])) or inner(**given)  # noqa: E731
    with warnings.catch_warnings(), patch.object(model.pipe, "model_fn", spy):
        warnings.simplefilter("ignore")
        return edit_video(FRAMES, KEYS, model, settings).frames.astype(int), calls


def test_fast_gives_the_plain_frames_and_plain_gives_the_vendor_back():
    model = model_of("i2v-a14b")
    expected, calls = edited(model)
    assert set_pace(model, "fast") == "pace fast: blocks in real arithmetic, attention by default"
    assert is_fast(model.pipe.dit)
    assert is_fast(model.pipe.dit2)
    found, again = edited(model)
    assert np.abs(found - expected).max() <= 1
    assert len(again) == len(calls) == 8
    set_pace(model, "plain")
    assert not is_fast(model.pipe.dit)
    assert not is_fast(model.pipe.dit2)
    assert np.array_equal(edited(model)[0], expected)


def test_a_gpu_gets_its_kernels_with_the_pace_and_loses_them_with_it(monkeypatch):
    model = model_of("t2v")
    model.pipe.device = "cuda"
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled.append(function) or function)
    said = set_pace(model, "fast")
    assert said == "pace fast: blocks compiled, attention by default, the VAE by pairs of frames and whole norms"
    assert any("forward" in vars(module) for module in model.pipe.vae.modules())
    assert len(compiled) == 6, "the block, and five passes of the VAE"
    set_pace(model, "plain")
    assert not any("forward" in vars(module) for module in model.pipe.vae.modules())


def test_auto_is_plain_without_a_gpu():
    model = model_of("t2v")
    assert set_pace(model, "auto") == "pace plain: diffsynth's own blocks"
    assert not is_fast(model.pipe.dit)


def test_lazy_runs_the_negative_prompt_at_every_second_step():
    model, settings = model_of("t2v"), GUIDED.with_(steps=5)
    assert set_pace(model, "lazy").endswith("the negative prompt every 2 steps")
    _, calls = edited(model, settings)
    one, other = calls[:2]
    assert calls == [one, other, one, one, other, one, one, other]
    set_pace(model, "plain")
    assert len(edited(model, settings)[1]) == 10, "plain gives every forward back"


def test_source_and_target_do_not_share_a_kept_distance():
    model = model_of("t2v")
    set_pace(model, "lazy")
    settings = GUIDED.with_(method="difference", prompt="a cat", source_prompt="a dog", strength=1.0)
    _, calls = edited(model, settings)
    source, its_negative, target, other_negative = calls[:4]
    assert calls == [source, its_negative, target, other_negative, source, target] * 2


@pytest.mark.parametrize(("every", "sigmas"), [(2, [0.9, 0.7, 0.5, 0.3]), (5, [0.9, 0.7, 0.9, 0.7])])
def test_between_steps_and_not_between_runs_the_distance_is_kept(every, sigmas):
    """Velocities are 10, 20, ... where guidance makes them 1, 2, ...: the second run begins where sigma rises."""
    lazy, computed, given = LazyGuidance(every), [], []
    for number, sigma in enumerate(sigmas, 1):
        compute = lambda number=number: computed.append(number) or torch.tensor([float(number)])  # noqa: E731
        given.append(lazy.guide(torch.tensor([10.0 * number]), sigma, compute).item())
    assert (given, computed) == ([1, 11, 3, 13], [1, 3])


def test_another_length_is_not_given_the_distance_of_the_first():
    lazy = LazyGuidance(5)
    for size in (2, 3):
        found = lazy.guide(torch.ones(size), 0.9 - size / 10, lambda size=size: torch.zeros(size))
        assert torch.equal(found, torch.zeros(size))


@pytest.mark.parametrize(
    ("family", "pace", "spread", "kind", "words"),
    [
        ("t2v", "slow", None, SettingError, "'slow'"),
        ("t2v", "plain", Spread(0, 2), SettingError, "Use fast"),
        ("vace", "auto", Spread(0, 2), ModelError, "one process"),
    ],
)
def test_what_does_not_suit_is_refused(family, pace, spread, kind, words):
    with pytest.raises(kind, match=words):
        set_pace(model_of(family), pace, spread=spread)


SCRIPT = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
from flowedit.run import editing
from flowedit.cli.main import main
from small_tiny import random_pipeline
from flowedit.wan.adapter import WanVideo

editing.load_model = lambda name, **_: WanVideo(random_pipeline(1), name="tiny")
main(sys.argv[1:])
"""


def test_an_edit_over_two_processes_is_that_of_one(tmp_path):
    from flowedit.media.clip import read_video, write_image, write_video

    write_video(tmp_path / "clip.mp4", FRAMES, 8, lossless=True)
    write_image(tmp_path / "key.png", 255 - FRAMES[0])
    (tmp_path / "script.py").write_text(SCRIPT)
    edit = ["edit", str(tmp_path / "clip.mp4"), "-k", str(tmp_path / "key.png"), "--at", "0", "--lossless"]
    edit += ["--size", "32x48", "--pace", "fast", "--preset", "method", "--conditioning", "both"]
    many = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, start in (("one", [sys.executable]), ("two", many)):
        command = [*start, str(tmp_path / "script.py"), *edit, "-o", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("report.html") == 1
    one, two = (read_video(tmp_path / name / "edited.mp4").frames.astype(int) for name in ("one", "two"))
    assert np.abs(one - two).max() <= 1
    assert np.abs(one - FRAMES).mean() > 1
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(p.name for p in (tmp_path / "two").iterdir())
