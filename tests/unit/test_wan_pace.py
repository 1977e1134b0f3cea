"""Paces: which parts of the fast path and which shortcuts each one sets, and that several processes give one result."""

import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from small_wan import SmallText, small_pipeline

from flowedit.edit import edit_video
from flowedit.errors import ModelError, SettingError
from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings
from flowedit.wan import fast, pace
from flowedit.wan.adapter import WanVideo
from flowedit.wan.eight_bit import EightBitLinear
from flowedit.wan.fast import is_fast
from flowedit.wan.pace import set_pace
from flowedit.wan.parallel import Spread
from flowedit.wan.shortcuts import StepCache

FRAMES = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
KEYS = [Keyframe(0, 255 - FRAMES[0]), Keyframe(8, 255 - FRAMES[8])]
GUIDED = EditSettings(conditioning="tokens", steps=4, guidance=3.0, detail="plain")


def model_of(family, name="wan"):
    return WanVideo(small_pipeline(family), name=name, words=SmallText())


def edited(model, settings=GUIDED):
    """The edit's last latents, and the length and prompt of each forward."""
    calls, inner = [], model.pipe.model_fn

    def spy(**given):
        calls.append((given["latents"].shape[2], id(given["context"]), given.get("tea_cache")))
        return inner(**given)

    model.pipe.model_fn = spy
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = edit_video(FRAMES, KEYS, model, settings).frames
    finally:
        model.pipe.model_fn = inner
    return frames.astype(int), calls


def test_fast_gives_the_plain_frames_and_plain_gives_the_vendor_back():
    model = model_of("i2v-a14b")
    expected, calls = edited(model)
    assert set_pace(model, "fast") == "fast"
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
    """Fast: the VAE's norms in one pass; quick: 8-bit products as well, where there is room for them."""
    model, free = model_of("t2v"), [10**9]
    model.pipe.device = "cuda"
    monkeypatch.setattr(pace, "runs_on", lambda like: True)
    monkeypatch.setattr(fast, "runs_on", lambda like: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[0], 10**9))
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled.append(function) or function)

    def held():
        layers = list(model.pipe.dit.modules())
        norms = [module for module in model.pipe.vae.modules() if "forward" in vars(module)]
        return any(isinstance(layer, EightBitLinear) for layer in layers), bool(norms)

    for name, expected in (("quick", (True, True)), ("fast", (False, True)), ("plain", (False, False))):
        set_pace(model, name)
        assert held() == expected, name
    assert len(compiled) == 4, "block and norm, at two paces"
    free[0] = 1000
    set_pace(model, "quick")
    assert held() == (False, True)


def test_auto_is_plain_without_a_gpu():
    model = model_of("t2v")
    assert set_pace(model, "auto") == "plain"
    assert not is_fast(model.pipe.dit)


def test_quick_runs_keyframes_once_a_step_and_the_negative_prompt_every_fourth():
    model, settings = model_of("t2v"), GUIDED.with_(steps=5)
    set_pace(model, "quick", steps=settings.steps)
    found, calls = edited(model, settings)
    assert [length for length, *_ in calls] == [2, 3, 3, 2, 3, 2, 3, 2, 3, 2, 3, 3]
    prompts = [prompt for length, prompt, _ in calls if length == 3]
    one, other = prompts[:2]
    assert prompts == [one, other, one, one, one, one, other]
    assert one != other
    set_pace(model, "plain")
    plain, whole = edited(model, settings)
    assert [length for length, *_ in whole] == [5] * 10
    assert 0 < np.abs(found - plain).mean() < 40


def test_quick_without_guidance_or_tokens_leaves_nothing_out():
    model = model_of("t2v")
    plain, _ = edited(model, GUIDED.with_(guidance=1.0, conditioning="none"))
    set_pace(model, "quick")
    found, calls = edited(model, GUIDED.with_(guidance=1.0, conditioning="none"))
    assert len(calls) == 4
    assert np.abs(found - plain).max() <= 1


def test_quick_caches_steps_where_there_is_a_table():
    model = model_of("t2v", name="Wan2.1-T2V-1.3B")
    set_pace(model, "quick", steps=GUIDED.steps)
    _, calls = edited(model)
    assert all(cache is not None for *_, cache in calls)
    model = model_of("t2v")
    set_pace(model, "quick", steps=GUIDED.steps)
    assert all(cache is None for *_, cache in edited(model)[1])


def test_quick_does_not_isolate_where_each_token_has_its_own_time():
    model = model_of("ti2v")
    set_pace(model, "quick", steps=2)
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    keys = [Keyframe(0, 255 - frames[0])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = edit_video(frames, keys, model, GUIDED.with_(steps=2, conditioning="both"))
    assert np.isfinite(result.trace.steps[-1].gap_norm).all()


def test_another_condition_gets_a_shortcut_of_its_own():
    """The source's and the target's velocities of `difference` must not share a kept distance."""
    model = model_of("t2v")
    set_pace(model, "quick", steps=5)
    settings = GUIDED.with_(method="difference", prompt="a cat", source_prompt="a dog", strength=1.0, steps=5)
    _, calls = edited(model, settings)
    lengths = [length for length, *_ in calls]
    assert lengths == [2, 3, 3] * 2 + [2, 3] * 6 + [2, 3, 3] * 2


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


def test_a_cache_of_one_length_is_not_read_by_another():
    """Keyframes and clip run apart under one prompt; a shared cache would add the wrong residual, or fail."""
    model = model_of("t2v")
    cache = StepCache(model.pipe.model_fn, checkpoint="Wan2.1-T2V-1.3B", steps=4, threshold=1e9)
    context = torch.randn(1, 8, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for time in (900.0, 700.0):
            for frames in (3, 2):
                given = {"latents": torch.ones(1, 16, frames, 4, 4), "timestep": torch.tensor([time])}
                assert cache(dit=model.pipe.dit, context=context, **given).shape[2] == frames
    assert (cache.computed, cache.skipped) == (2, 2)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from flowedit import run as runner
from flowedit.cli.main import main
from flowedit.tiny.load import random_pipeline
from flowedit.wan import fast, pace
from flowedit.wan.adapter import WanVideo

runner.load_model = lambda name: WanVideo(random_pipeline(1), name="tiny")
main(sys.argv[1:])
"""


def test_an_edit_over_two_processes_is_that_of_one(tmp_path):
    from flowedit.media.clip import read_video, write_image, write_video

    write_video(tmp_path / "clip.mp4", FRAMES, 8, lossless=True)
    write_image(tmp_path / "key.png", 255 - FRAMES[0])
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
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
