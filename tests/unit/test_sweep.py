"""A sweep gives what single runs give, and loads and encodes once."""

import numpy as np
import pytest
import torch

from flowedit import run as runner
from flowedit.edit import edit_steps, prepare
from flowedit.errors import SettingError
from flowedit.keyframes import Keyframe
from flowedit.media.clip import write_image, write_video
from flowedit.settings import EditSettings
from flowedit.sweep import Sweep, parse_sweep, run_sweep, varied
from flowedit.tiny.load import random_pipeline
from flowedit.wan.adapter import WanVideo

SETTINGS = EditSettings.of(steps=4, detail="plain", alpha=2.0)


@pytest.fixture(scope="module")
def model():
    return WanVideo(random_pipeline(1), name="tiny")


MASK = np.zeros((9, 32, 48), np.float32)
MASK[:, :, :24] = 1


@pytest.mark.parametrize(
    ("changes", "mask"),
    [
        ({"alpha": 7.0}, None),
        ({"kappa": 0.5}, None),
        ({"gain": "euler", "alpha": 3.0}, MASK),
        ({"seed": 4}, MASK),  # the source is held on the new noise
        ({"seed": 4, "alpha": 7.0}, None),
    ],
)
def test_another_alpha_on_the_same_encoding_is_a_run_of_its_own(model, changes, mask):
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
    keyframes = [Keyframe(0, 255 - frames[0]), Keyframe(8, 255 - frames[8])]
    shared = prepare(frames, keyframes, model, SETTINGS, mask)
    first = list(edit_steps(shared))
    settings = SETTINGS.with_(**changes)
    found = varied(shared, settings)
    expected = prepare(frames, keyframes, model, settings, mask)
    for one, two in zip(edit_steps(found), edit_steps(expected), strict=True):
        assert torch.equal(one.latents, two.latents)
    assert found.trace.alpha == expected.trace.alpha
    assert found.settings.seed == settings.seed
    assert not torch.equal(one.latents, first[-1].latents)
    assert shared.trace.alpha == 2.0
    assert len(shared.trace.steps) == 4


def test_settings_that_were_encoded_cannot_be_swept(model):
    frames = np.zeros((5, 32, 48, 3), np.uint8)
    shared = prepare(frames, [Keyframe(0, frames[0])], model, SETTINGS)
    with pytest.raises(SettingError, match="shares everything but"):
        varied(shared, SETTINGS.with_(strength=0.5))


def test_a_sweep_loads_and_prepares_once_and_fills_a_folder_per_alpha(tmp_path, monkeypatch, model):
    calls = []
    monkeypatch.setattr(runner, "load_model", lambda name: calls.append("load") or model)
    inner = runner.prepare
    monkeypatch.setattr(runner, "prepare", lambda *given: calls.append("prepare") or inner(*given))
    frames = np.random.default_rng(3).integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "clip.mp4", frames, 8, lossless=True)
    write_image(tmp_path / "key.png", 255 - frames[0])
    request = runner.EditRequest(
        video=tmp_path / "clip.mp4", keyframes=[(0, tmp_path / "key.png")], output=tmp_path / "out",
        settings=SETTINGS, size=(32, 48),
    )  # fmt: skip
    outcomes = run_sweep(request, Sweep(alphas=(2.0, 5.5)), runner.silent)
    assert calls == ["load", "prepare"]
    assert [outcome.folder.name for outcome in outcomes] == ["alpha-2", "alpha-5.5"]
    assert [outcome.manifest["settings"]["alpha"] for outcome in outcomes] == [2.0, 5.5]
    assert all((tmp_path / "out" / name / "edited.mp4").exists() for name in ("alpha-2", "alpha-5.5"))


def test_every_combination_has_a_name_and_settings_of_its_own():
    runs = list(Sweep(alphas=(2.0, 5.5), seeds=(0, 7)).runs(SETTINGS.with_(kappa=0.5)))
    assert [name for name, _ in runs] == ["alpha-2-seed-0", "alpha-2-seed-7", "alpha-5.5-seed-0", "alpha-5.5-seed-7"]
    assert [(s.alpha, s.seed, s.kappa) for _, s in runs] == [(2, 0, None), (2, 7, None), (5.5, 0, None), (5.5, 7, None)]
    assert [(name, s.kappa) for name, s in Sweep(seeds=(3,)).runs(SETTINGS.with_(kappa=0.5))] == [("seed-3", 0.5)]


@pytest.mark.parametrize(
    ("alphas", "seeds"), [("", None), ("2,two", None), ("2,2.0", None), ("2", "1,1"), (None, "1.5")]
)
def test_a_sweep_of_no_numbers_or_the_same_one_twice_is_refused(alphas, seeds):
    with pytest.raises(SettingError, match="different numbers"):
        parse_sweep(alphas, seeds)
    assert parse_sweep("2,5.5", "0,3") == Sweep(alphas=(2.0, 5.5), seeds=(0, 3))
    assert parse_sweep(None, None) is None
