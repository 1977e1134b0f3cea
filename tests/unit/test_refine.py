"""`refine`: what the model is shown, where its change is laid on the estimate, and whose colours stay."""

import numpy as np
import pytest
import torch
from oracles import PointMass, pictures

from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.errors import KeyframeError
from flowedit.estimate import Estimate
from flowedit.flow import interpolate
from flowedit.keyframes import Keyframe
from flowedit.methods.detail import Reference
from flowedit.methods.refine import common_change, lay_change, resized
from flowedit.model import to_pixels
from flowedit.settings import EditSettings

SHAPE = (2, 3, 5, 24, 24)
MIX = torch.tensor([[0.9, 0.1, 0.0], [-0.05, 1.05, 0.1], [0.0, 0.1, 0.8]])


def clip() -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) - 0.5


def tinted(video: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ij,bjfhw->bifhw", MIX, video) + 0.06


def spot() -> torch.Tensor:
    """A change in one place alone."""
    change = torch.zeros(SHAPE)
    change[:, 0, 2, 4:8, 4:8] = 0.3
    return change


def test_colours_stay_the_estimates_where_keyframes_agree_and_what_is_local_is_laid():
    """Catches a tint of the model in place of a map fitted on all keyframes, and an edit that goes with it."""
    estimate, everywhere = clip(), torch.ones(SHAPE[0], 1, *SHAPE[2:])
    laid = lay_change(estimate, tinted(estimate) + spot(), everywhere, agreement=1.0)
    torch.testing.assert_close(laid, estimate + spot(), atol=0.01, rtol=0)


@pytest.mark.parametrize("agreement", [0.0, torch.tensor([0.0, 0.0])])
def test_a_refinement_brings_its_own_colours_where_keyframes_disagree(agreement):
    estimate, everywhere = clip(), torch.ones(SHAPE[0], 1, *SHAPE[2:])
    torch.testing.assert_close(lay_change(estimate, tinted(estimate), everywhere, agreement), tinted(estimate))


def test_each_clip_has_its_own_agreement():
    estimate, everywhere = clip(), torch.ones(SHAPE[0], 1, *SHAPE[2:])
    laid = lay_change(estimate, tinted(estimate), everywhere, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(laid[0], tinted(estimate)[0])
    torch.testing.assert_close(laid[1], estimate[1], atol=3e-3, rtol=0)


def test_behind_a_mask_the_colours_are_judged_where_the_edit_was_free():
    """Catches a style applied twice in a mask: outside it the edit shows the source, the style's very inverse."""
    source, free = clip(), torch.zeros(SHAPE[2:])
    free[:, :6, :6] = 1
    estimate = tinted(source)
    shown = torch.where(free > 0, estimate + spot(), source)
    laid = lay_change(estimate, shown, torch.ones(SHAPE[0], 1, *SHAPE[2:]), 1.0, free.numpy())
    inside = (free > 0).expand(SHAPE)
    torch.testing.assert_close(laid[inside], (estimate + spot())[inside], atol=0.03, rtol=0)


def test_a_change_of_nothing_gives_the_estimate_back_to_the_bit():
    estimate = clip()
    assert torch.equal(lay_change(estimate, estimate.clone(), torch.ones(SHAPE[0], 1, *SHAPE[2:]), 1.0), estimate)


def test_the_common_part_is_fitted_over_the_whole_clip_and_defined_for_one_colour():
    estimate = clip()
    change = tinted(estimate) - estimate + spot()
    rest = change - common_change(estimate, change)
    terms = torch.cat([estimate, torch.ones_like(estimate[:, :1])], dim=1)
    along = torch.einsum("bifhw,bjfhw->bij", terms, rest) / terms[0, 0].numel()
    assert along.abs().max() < 1e-3
    grey = torch.zeros(SHAPE)
    torch.testing.assert_close(common_change(grey, grey + 0.5), grey + 0.5, atol=1e-3, rtol=0)


LARGE = (16, 24)
FRAMES = pictures(13, size=LARGE)
STYLED = [Keyframe(i, picture) for i, picture in zip((0, 12), pictures(2, seed=5, size=LARGE), strict=True)]
ESTIMATE = Estimate(
    pictures(13, seed=21, size=LARGE), np.random.default_rng(1).random((13, *LARGE)).astype(np.float32), tint=9.0
)
"""Of keyframes that disagree: need everywhere, and the model's colours."""


def refined(estimate=ESTIMATE, **changes):
    model = PointMass()
    settings = EditSettings.of(**{"method": "refine", "steps": 1, "strength": 0.08, "shift": 3.0, **changes})
    return model, prepare(FRAMES, STYLED, model, settings, None, estimate)


def test_the_model_sees_the_estimate_and_starts_from_the_noised_source():
    """Catches an estimate that the model never sees, one that takes the source's place, and a decode on the source."""
    model, edit = refined()
    seen, problem = model.conditions[-1], edit.problem
    assert (seen.estimate == ESTIMATE.frames).all()
    assert (seen.confidence == ESTIMATE.confidence).all()
    assert list(seen.images) == [0, 12]
    assert torch.equal(problem.source, model.encode(to_pixels(FRAMES)))
    asked = []
    model.velocity = lambda latents, sigma, prepared, ids: asked.append((latents, sigma)) or latents
    next(edit_steps(edit))
    torch.testing.assert_close(asked[0][0], interpolate(problem.source, problem.noise, problem.sigmas[0]))
    assert (finish(edit, edit.reference.latents).frames == ESTIMATE.frames).all()


def test_one_step_ends_where_the_model_says_and_reads_nothing_at_the_keyframes():
    model, edit = refined()
    centre = model.prepare(model.conditions[-1]).centre
    (step,) = edit_steps(edit)
    torch.testing.assert_close(step.latents, centre)
    result = finish(edit, step.latents)
    assert (result.trace.keyframes, result.trace.alpha, result.manifest()["final_gap"]) == ((), None, None)
    assert step.trace.line() == "Step 0: r_k=nan, v_diff=nan, Δv=nan, gap=nan"
    assert result.trace.to_csv().splitlines() == ["step,sigma,keyframe,r_k_norm,v_diff_norm,delta_v_norm,gap_norm"]


def test_the_estimate_stays_where_it_is_sure_and_the_model_answers_elsewhere():
    confidence = np.zeros((13, *LARGE), np.float32)
    confidence[:, :, :6] = 1
    _, edit = refined(Estimate(ESTIMATE.frames, confidence))
    changed = finish(edit, edit.reference.latents + 1.0).frames
    assert (changed[:, :, :6] == ESTIMATE.frames[:, :, :6]).all()
    assert (changed[:, :, 6:] != ESTIMATE.frames[:, :, 6:]).mean() > 0.5


def test_a_smaller_copys_change_is_laid_where_nothing_is_known_and_wherever_keyframes_disagree():
    """Catches a small model's blur over detail that the full-size estimate has right."""
    confidence = np.full((13, *LARGE), 0.6, np.float32)
    confidence[:, :8] = 0
    agreeing = resized(Estimate(ESTIMATE.frames, confidence), (8, 12)).need()
    assert agreeing[:, :4].min() == pytest.approx(0.5)
    assert agreeing[:, 4:].max() < 0.01
    assert resized(ESTIMATE, (8, 12)).need().min() == 1


def test_a_reference_of_its_own_lays_the_whole_change():  # what the benchmark's row "laid everywhere" relies on
    _, edit = refined()
    edit.reference = Reference(frames=edit.reference.frames, latents=edit.reference.latents)
    assert (finish(edit, edit.reference.latents - 10).frames == 0).all()


def test_without_a_keyframe_there_is_nothing_to_refine():
    with pytest.raises(KeyframeError, match="at least 1 keyframe"):
        prepare(FRAMES, [], PointMass(), EditSettings(method="refine", steps=1))
