"""Placing a checkpoint for a run: words first, one level lower when memory runs out, and what cannot be asked for."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowedit import manifest, models, placing
from flowedit import run as runner
from flowedit.errors import ModelError, SettingError
from flowedit.media.clip import write_image, write_video
from flowedit.settings import EditSettings
from flowedit.tiny.load import random_pipeline
from flowedit.wan import encodings, loading
from flowedit.wan.adapter import WanVideo
from flowedit.wan.placement import Needs, Placement


def a_fit(level):
    return Placement(level=level, device="cpu", dtype_name="float32", needs=Needs(gpu=0, host=0))


@pytest.fixture
def request_of(tmp_path):
    frames = np.random.default_rng(3).integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "clip.mp4", frames, 8, lossless=True)
    write_image(tmp_path / "key.png", 255 - frames[0])

    def make(**changes):
        given = {"settings": EditSettings(steps=4, detail="plain", conditioning="tokens"), "model": "1.3B", **changes}
        keyframes = [(0, tmp_path / "key.png")]
        return runner.EditRequest(
            video=tmp_path / "clip.mp4", keyframes=keyframes, output=tmp_path / "out", size=(32, 48), **given
        )

    return make


@pytest.fixture
def placed(monkeypatch):
    """Two levels that fit, and loads that are recorded; `failing` names the levels that run out of memory."""
    seen = SimpleNamespace(loads=[], asked=None, failing=set())
    levels = [a_fit(name) for name in ("resident", "offload")]

    def fits_for(name, **asked):
        seen.asked = asked
        return levels

    def load_model(name, *, level, prompts):
        seen.loads.append((level.level, prompts))
        if level.level in seen.failing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return WanVideo(random_pipeline(1), name=name)

    monkeypatch.setattr(placing, "fits_for", fits_for)
    monkeypatch.setattr(runner, "load_model", load_model)
    monkeypatch.setattr(manifest, "checkpoint_files", lambda name: [])
    return seen


def test_out_of_memory_is_tried_once_more_one_level_lower(request_of, placed):
    placed.failing.add("resident")
    said = []
    runner.run_edit(request_of(), announce=said.append)
    assert [level for level, _ in placed.loads] == ["resident", "offload"]
    assert any("trying once more at level offload" in line for line in said)


def test_out_of_memory_at_the_last_level_says_what_to_change(request_of, placed):
    placed.failing.update(("resident", "offload"))
    with pytest.raises(ModelError, match=r"Out of memory at level offload.*--placement fp8"):
        runner.run_edit(request_of())


def test_the_fit_knows_the_clip_the_tokens_and_the_words(request_of, placed):
    settings = EditSettings(steps=4, detail="plain", conditioning="tokens", prompt="a", source_prompt="b")
    runner.run_edit(request_of(settings=settings, fit="offload"))
    assert placed.asked["level"] == "offload"
    assert placed.asked["keyframes"] == 1
    assert (placed.asked["shape"].num_frames, placed.asked["shape"].height) == (5, 32)
    assert set(placed.loads[0][1]) == {"a", "b", ""}


@pytest.mark.parametrize(
    ("name", "level", "words"), [("tiny", "offload", "fits everywhere"), ("1.3B", "half", "fit is 'half'")]
)
def test_a_fit_that_makes_no_sense_is_refused(name, level, words):
    with pytest.raises(SettingError, match=words):
        models.fits_for(name, level=level)


def test_the_small_model_has_no_fits():
    assert models.fits_for("tiny") == []


def test_words_are_encoded_before_the_transformer_is_loaded_and_without_it(monkeypatch):
    order = []
    entry = loading.resolve("Wan2.2-I2V-A14B")

    def load(name, **options):
        order.append(options["roles"])
        pipe = random_pipeline()
        pipe.text_encoder = None
        return loading.Loaded(pipe, entry)

    def encode(name, prompts, **_):
        order.append(tuple(prompts))
        return [torch.full((1, 4, 16), float(len(prompt))) for prompt in prompts]

    monkeypatch.setattr(loading, "locate", lambda name: SimpleNamespace(checkpoint=entry, files={}))
    monkeypatch.setattr(loading, "load_pipeline", load)
    monkeypatch.setattr(encodings, "encode_prompts", encode)
    model = models.load_model("Wan2.2-I2V-A14B", level=a_fit("cpu"), prompts=("cat", "horse"))
    assert order == [("cat", "horse"), ("dit", "vae", "image")]
    assert model._context("horse").flatten()[0] == 5
    assert model.retiled(None)._context("cat").flatten()[0] == 3
    assert order[2:] == []
    assert model._context("mouse!").flatten()[0] == 6  # catches: words not foreseen left without an encoder
    assert order[2:] == [("mouse!",)]
