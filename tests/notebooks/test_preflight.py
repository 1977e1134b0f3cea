"""The prediction that lesson 07 puts to the test: every part is counted as often as the run does it."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowedit.lessons import preflight
from flowedit.presets import preset_settings


def test_a_run_is_the_sum_of_its_parts(monkeypatch):
    """Catches a part left out, a short piece taken for the whole clip, and one transformer call a step for two."""
    costs = iter([0.9, 1.8, 0.5])
    monkeypatch.setattr(preflight, "_timed", lambda call: (next(costs), call()))
    model = SimpleNamespace(
        encode=lambda video: torch.zeros(1, 16, 3, 2, 2),
        decode=lambda latents: latents,
        prepare=lambda condition: None,
        velocity=lambda latents, sigma, prepared, positions: latents,
    )
    settings = preset_settings("tiny", "method")
    seconds = preflight.predict_seconds(model, np.zeros((33, 16, 16, 3), np.uint8), settings, keyframes=3)
    keys = 2 * (1 + 5 + 5)  # `delta` encodes each keyframe twice: styled, and as the source has it
    encoded, decoded, forwards = 3 * 33 + keys, 2 * 33, 2 * 6
    assert seconds == pytest.approx(forwards * 0.5 + encoded * 0.1 + decoded * 0.2)


def test_time_is_the_processors():
    """Catches a clock that counts waiting, and so what else the computer does."""
    import time

    seconds, out = preflight._timed(lambda: time.sleep(0.05) or "out")
    assert out == "out"
    assert seconds < 0.03


def test_a_model_that_remembers_its_last_clip_is_timed_in_full():
    """Catches an encoding that is timed as nothing, because it is asked for the same clip again."""
    seen = []

    def encode(video):
        seen.append(video.clone())
        return torch.zeros(1, 16, 3, 2, 2)

    model = SimpleNamespace(
        encode=encode,
        decode=lambda latents: latents,
        prepare=lambda condition: None,
        velocity=lambda latents, sigma, prepared, positions: latents,
    )
    clip = np.random.default_rng(0).integers(0, 255, (33, 16, 16, 3), np.uint8)
    preflight.predict_seconds(model, clip, preset_settings("tiny", "method"), keyframes=3)
    assert len(seen) == preflight._TRIES
    assert not any(torch.equal(before, after) for before, after in pairwise(seen))
