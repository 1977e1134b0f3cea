"""An edit at a smaller scale: all that the model sees is small, and its change reaches the full-size reference."""

import numpy as np
import pytest
import torch
from oracles import POOL, PointMass, pictures

from flowedit import preparation
from flowedit.edit import edit_steps, finish, prepare
from flowedit.estimate.blend import Guess
from flowedit.keyframes import Keyframe
from flowedit.scaling import Material, at_scale, enlarge_change
from flowedit.settings import EditSettings

SIZE = (16, 24)
FRAMES = pictures(13, size=SIZE)
STYLED = [Keyframe(index, picture) for index, picture in zip((0, 12), pictures(2, seed=5, size=SIZE), strict=True)]
GUESS = Guess(
    pictures(13, seed=8, size=SIZE), np.linspace(0, 1, FRAMES[..., 0].size, dtype=np.float32).reshape(13, *SIZE)
)


def prepared(monkeypatch, **changes):
    model = PointMass()
    monkeypatch.setattr(preparation, "guess", lambda frames, images: GUESS)
    settings = EditSettings.of(steps=4, scale=0.5, fill="guess", **changes)
    return model, prepare(FRAMES, STYLED, model, settings)


def test_the_model_sees_clip_keyframes_and_guess_at_half_the_side(monkeypatch):
    model, edit = prepared(monkeypatch)
    seen = model.conditions[-1]
    assert (seen.shape.height, seen.shape.width) == (8, 12)
    assert {index: image.shape for index, image in seen.images.items()} == {0: (8, 12, 3), 12: (8, 12, 3)}
    assert seen.guess.shape == (13, 8, 12, 3)
    assert seen.trust.shape == (13, 8, 12)
    np.testing.assert_allclose(seen.trust[3, 2, 5], GUESS.trust[3, 4:6, 10:12].mean(), rtol=1e-5)
    for latents in (edit.problem.source, edit.problem.start, edit.reference_latents, edit.problem.keys):
        assert latents.shape[-2:] == (8 // POOL, 12 // POOL)


def test_no_edit_gives_the_whole_guess_back_and_a_change_reaches_every_pixel(monkeypatch):
    _, edit = prepared(monkeypatch)
    assert (finish(edit, edit.reference_latents).frames == GUESS.frames).all()
    edit.agreement = 0.0
    dim = finish(edit, edit.reference_latents - 10).frames
    laid = edit.share == 1
    assert 0.3 < laid.mean() < 0.9
    assert (dim[laid] == 0).all()
    assert (dim[edit.share == 0] == GUESS.frames[edit.share == 0]).all()


def test_without_a_guess_the_change_is_laid_on_the_source():
    model = PointMass()
    edit = prepare(FRAMES, STYLED, model, EditSettings(method="difference", steps=4, scale=0.5))
    latents = [step.latents for step in edit_steps(edit)][-1]
    result = finish(edit, latents)
    assert result.frames.shape == result.source.shape == FRAMES.shape
    assert model.conditions[-1].shape.width == 12
    assert (finish(edit, edit.reference_latents).frames == FRAMES).all()


def test_a_change_is_enlarged_frame_by_frame():
    ramp = torch.arange(8.0).view(1, 1, 1, 1, 8).expand(1, 3, 2, 4, 8) + torch.tensor([0.0, 10.0]).view(1, 1, 2, 1, 1)
    large = enlarge_change(ramp, (8, 16))
    assert large.shape == (1, 3, 2, 8, 16)
    # A pixel of twice the size has its middle between two of its own.
    torch.testing.assert_close(large[0, 2, 1, 4, 6:10], torch.tensor([12.75, 13.25, 13.75, 14.25]))
    assert enlarge_change(ramp, (4, 8)) is ramp


@pytest.mark.parametrize(
    ("scale", "multiple", "size"),
    [(0.5, 4, (8, 12)), (0.5, 16, (16, 16)), (0.01, 4, (4, 4)), (1.0, 4, SIZE), (0.9, 8, (16, 24))],
)
def test_sides_are_multiples_and_never_grow(scale, multiple, size):
    whole = Material(frames=FRAMES, keyframes=STYLED, guess=None)
    worked = at_scale(whole, scale, multiple)
    assert worked.frames.shape[1:3] == size
    assert (worked is whole) == (size == SIZE)
