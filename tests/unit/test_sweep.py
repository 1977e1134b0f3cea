"""Settings that a sweep goes through, and that one encoding serves them all."""

import numpy as np
import pytest
import torch
from oracles import Curved

from flowedit.edit.steps import edit_steps, prepare
from flowedit.edit.sweep import combinations, varied
from flowedit.errors import SettingError
from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings

SETTINGS = EditSettings(steps=4, detail="plain").with_(alpha=2.0)
FRAMES = np.random.default_rng(0).integers(0, 256, (9, 8, 12, 3), dtype=np.uint8)
MASK = np.zeros(FRAMES.shape[:3], np.float32)
MASK[:, :, :8] = 1
KEYFRAMES = [Keyframe(0, 255 - FRAMES[0]), Keyframe(8, 255 - FRAMES[8])]


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
def test_another_alpha_on_the_same_encoding_is_a_run_of_its_own(changes, mask):
    model = Curved()
    shared = prepare(FRAMES, KEYFRAMES, model, SETTINGS, mask)
    first = list(edit_steps(shared))
    settings = SETTINGS.with_(**changes)
    found, expected = varied(shared, settings), prepare(FRAMES, KEYFRAMES, model, settings, mask)
    for one, two in zip(edit_steps(found), edit_steps(expected), strict=True):
        assert torch.equal(one.latents, two.latents)
    assert found.trace.alpha == expected.trace.alpha
    assert found.settings.seed == settings.seed
    assert not torch.equal(one.latents, first[-1].latents)
    assert (shared.trace.alpha, len(shared.trace.steps)) == (2.0, 4)


def test_what_was_encoded_cannot_be_swept():
    shared = prepare(FRAMES, KEYFRAMES, Curved(), SETTINGS)
    with pytest.raises(SettingError, match="shares everything but"):
        varied(shared, SETTINGS.with_(strength=0.5))


def test_every_combination_has_a_name_and_settings_of_its_own():
    share = SETTINGS.with_(kappa=0.5)
    runs = combinations(share, (2.0, 5.5), (0, 7))
    assert [name for name, _ in runs] == ["alpha-2-seed-0", "alpha-2-seed-7", "alpha-5.5-seed-0", "alpha-5.5-seed-7"]
    assert [(s.alpha, s.seed, s.kappa) for _, s in runs] == [(2, 0, None), (2, 7, None), (5.5, 0, None), (5.5, 7, None)]
    assert [(name, s.kappa) for name, s in combinations(share, (), (3,))] == [("seed-3", 0.5)]
    assert combinations(share) == [("", share)]
