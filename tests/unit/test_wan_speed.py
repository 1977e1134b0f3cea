"""Predicted times: what depends on tokens and their square, the number of forwards."""

import warnings

import numpy as np
import pytest
import torch
from small_tiny import random_pipeline

from flowedit.edit.steps import edit_video
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape
from flowedit.settings import EditSettings
from flowedit.wan import memory, speed
from flowedit.wan.adapter import Trained, WanVideo
from flowedit.wan.checkpoints import Width, resolve

SMALL = Width(dim=240, ffn=1024, heads=5, layers=4)


def test_two_lengths_give_both_terms(monkeypatch):
    few, many = speed.CPU_LENGTHS
    monkeypatch.setattr(speed, "_block_seconds", lambda *_: tuple(3e-6 * n + 2e-9 * n**2 for n in (few, many)))
    monkeypatch.setattr(speed, "_vae_seconds", lambda *_: (1e-7, 2e-7))
    found = speed.measure_speed(SMALL, device="cpu", dtype=torch.float32)
    assert found.linear == pytest.approx(3e-6)
    assert found.quadratic == pytest.approx(2e-9)
    assert (found.encode, found.decode) == (1e-7, 2e-7)
    assert found.forward_seconds(Width(dim=1, ffn=1, heads=1, layers=10, vace_layers=5), 1000) == pytest.approx(0.075)


PLAIN = {"conditioning": "both", "detail": "plain"}


@pytest.mark.parametrize(
    "changes",
    [
        {"conditioning": "tokens", "detail": "plain"},
        {**PLAIN, "guidance": 5.0},
        {**PLAIN, "strength": 0.5},
        {**PLAIN, "method": "difference"},
        {**PLAIN, "method": "difference", "guidance": 5.0},
        {**PLAIN, "method": "difference", "guidance": 5.0, "source_guidance": 1.0, "strength": 0.5},
        {},
        {"keyframe_encoding": "delta"},
        {"keyframe_encoding": "still"},
        {"method": "difference", "keyframe_encoding": "delta"},
        {"method": "difference", "keyframe_encoding": "still"},
        {"method": "refine"},
    ],
)
def test_forwards_and_the_frames_that_pass_the_autoencoder_are_what_the_editor_takes(changes):
    settings = EditSettings.of(steps=4, prompt="a", source_prompt="b", **changes)
    pipe = random_pipeline(seed=0)
    calls, encoded, decoded = [], [], []
    forward, encode, decode = pipe.model_fn, pipe.vae.encode, pipe.vae.decode
    pipe.model_fn = lambda **given: (calls.append(1), forward(**given))[1]
    pipe.vae.encode = lambda clip, **more: (encoded.append(clip.shape[2]), encode(clip, **more))[1]
    pipe.vae.decode = lambda latents, **more: (decoded.append(4 * latents.shape[2] - 3), decode(latents, **more))[1]
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    keyframes = [Keyframe(0, frames[1]), Keyframe(8, frames[2])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        edit_video(frames, keyframes, WanVideo(pipe, trained=Trained(refines=True)), settings)
    shape = ClipShape(num_frames=9, height=32, width=32)
    assert len(calls) == len(memory.forward_lengths(resolve("1.3B"), shape, settings, keyframes=2))
    assert (sum(encoded), sum(decoded)) == speed.vae_frames(settings, 9, 2)


def test_minutes_grow_with_steps_guidance_and_keyframe_tokens():
    found = speed.Speed(linear=1e-8, quadratic=1e-12, encode=1e-9, decode=2e-9)
    entry, shape = resolve("1.3B"), ClipShape(num_frames=81, height=480, width=832)
    base = EditSettings(steps=10, conditioning="tokens", detail="plain")

    def minutes(settings=base, keyframes=0):
        return speed.predict_minutes(found, entry, shape, settings, keyframes=keyframes)

    vae = (2 * 1e-9 + 2e-9) * 480 * 832 * 81 / 60  # the source, and the grey clip of the i2v route; one decode
    assert minutes() == pytest.approx(10 * found.forward_seconds(entry.width, 32_760) / 60 + vae)
    assert minutes(base.with_(steps=20)) - vae == pytest.approx(2 * (minutes() - vae))
    assert minutes(base.with_(guidance=5.0)) - vae == pytest.approx(2 * (minutes() - vae))
    assert minutes(keyframes=5) > minutes(base.with_(conditioning="i2v"), keyframes=5)
