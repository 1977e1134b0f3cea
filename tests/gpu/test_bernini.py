"""Bernini-R 1.3B at full size on a GPU, random weights in its own layout, through the public path.

It writes 3 GB of files: give them a folder in memory, `pytest tests/gpu --basetemp /dev/shm/flowedit`.
"""

import time
import warnings
from statistics import median

import pytest
import torch
from full_size import TEXT_DIM, lay_out_random
from official import official_shapes, write_sparse

from benchmarks.synthetic import drawn_clip, forward_operations
from flowedit import models
from flowedit.edit.steps import edit_steps, prepare
from flowedit.model import ClipShape, Condition, to_pixels
from flowedit.presets import preset_settings
from flowedit.wan import files
from flowedit.wan.checkpoints import resolve
from flowedit.wan.fast import find_flash3
from flowedit.wan.memory import token_count
from flowedit.wan.pace import set_pace
from flowedit.wan.placement import needs_of

NAME, DEVICE, KEYFRAMES = "Bernini-R-1.3B", "cuda", 5
SHAPE = ClipShape(num_frames=81, height=480, width=848)
MOST = 1.1
"""A forward with source and keyframes may take so many times what its operations predict from the clip alone."""


def words(prompt):
    generator = torch.Generator().manual_seed(sum(prompt.encode()))
    return torch.randn(1, 512, TEXT_DIM, generator=generator)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    root = tmp_path_factory.mktemp("bernini")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(files.BASE_PATH_VARIABLE, str(root))
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setattr(models, "_words", lambda *_: words)
        lay_out_random(NAME, root, device=DEVICE)
        text = resolve(NAME).part("text")
        write_sparse(root / text.modelscope[0] / text.modelscope[1], official_shapes(text.hash))  # never read
        yield models.load_model(NAME, device=DEVICE, dtype="bfloat16", prompts=["a"])


def timed(work):
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        made = work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return median(seconds[1:]), made


@torch.inference_mode()
def test_source_and_keyframes_cost_what_their_tokens_cost(model):
    """Catches a turn that is made anew for every block, a path that falls back, and memory beyond what is predicted."""
    clip, keyframes = drawn_clip(SHAPE)
    assert len(keyframes) == KEYFRAMES
    alone = Condition(shape=SHAPE, prompt="a")
    whole = Condition(shape=SHAPE, prompt="a", source=clip, images={each.index: each.image for each in keyframes})
    prepared = [model.prepare(condition) for condition in (alone, whole)]
    noise, entry = torch.randn_like(model.encode(to_pixels(clip))), resolve(NAME)
    tokens = token_count(entry, SHAPE) // 2, token_count(entry, SHAPE, KEYFRAMES)
    asked = [forward_operations(entry.width, count) for count in tokens]
    results = {}
    for pace in ("plain", "fast"):
        said = set_pace(model, pace)
        torch.cuda.reset_peak_memory_stats()
        (short, _), (long, results[pace]) = (
            timed(lambda one=one: model.velocity(noise, 0.7, one, range(noise.shape[2]))) for one in prepared
        )
        assert long / short <= MOST * asked[1] / asked[0]
        assert torch.cuda.max_memory_allocated() <= needs_of(entry, SHAPE, "resident", keyframes=KEYFRAMES).gpu
        if pace == "fast" and find_flash3().call is not None and torch.cuda.get_device_capability() == (9, 0):
            assert "flash3" in said
    error = (results["fast"] - results["plain"]).float().norm() / results["plain"].float().norm()
    assert error < 0.03


@torch.inference_mode()
def test_two_guided_steps_at_full_size(model):
    clip, keyframes = drawn_clip(SHAPE)
    set_pace(model, "fast")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of so few steps
        settings = preset_settings(NAME, method="coupled", steps=2, prompt="a")
        prepared = prepare(clip, keyframes, model, settings)
    *_, last = edit_steps(prepared)
    assert model.decode(last.latents).isfinite().all()
    assert (last.latents - prepared.problem.source).abs().mean() > 0.1
