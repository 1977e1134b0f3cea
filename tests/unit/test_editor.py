"""The editor: what goes in shapes what comes out, steps can be watched and repeated, and nonsense is refused."""

import json
import weakref

import numpy as np
import pytest
import torch
from oracles import SIZE, Curved, PointMass, pictures

from flowedit import methods
from flowedit.edit import steps as editor
from flowedit.edit.preparation import sigma_grid
from flowedit.edit.steps import edit_steps, edit_video, finish, prepare
from flowedit.errors import KeyframeError, ModelError, NumericalError, SettingError, VideoShapeError
from flowedit.errors import UnusualSettingWarning as Unusual
from flowedit.keyframes import Keyframe
from flowedit.methods.branches import State
from flowedit.methods.detail import decode_residual
from flowedit.model import to_pixels
from flowedit.schedule import wan_sigmas
from flowedit.settings import EditSettings

FRAMES, OTHER = pictures(13), pictures(13, seed=9)
STYLED = [Keyframe(index, picture) for index, picture in zip((0, 3, 12), pictures(3, seed=5), strict=True)]
OWN = [Keyframe(keyframe.index, FRAMES[keyframe.index]) for keyframe in STYLED]
BOTH = pytest.mark.parametrize("method", ["coupled", "difference"])


def settings(**changes):
    return EditSettings.of(**{"steps": 5, "prompt": "a cat", "detail": "plain", **changes})


def prepared(model=None, keyframes=STYLED, frames=FRAMES, mask=None, **changes):
    return prepare(frames, keyframes, model or PointMass(), settings(**changes), mask)


def final_latents(edit):
    return [step.latents for step in edit_steps(edit)][-1]


def edited(frames=FRAMES, keyframes=STYLED, **changes):
    return final_latents(prepared(Curved(), keyframes, frames, **changes))


def asked(**changes):
    """A model that was asked for a whole run."""
    model = PointMass()
    final_latents(prepared(model, **changes))
    return model


@BOTH
@pytest.mark.parametrize(
    "route",
    [{"conditioning": "i2v", "alpha": 0.0}, {"conditioning": "tokens", "alpha": 0.0}, {"conditioning": "none"}],
    ids=["images", "tokens", "correction"],
)
def test_swapping_two_keyframe_images_changes_the_edit(method, route):  # catches: keyframes encoded, then never used
    swapped = [Keyframe(a.index, b.image) for a, b in zip(STYLED, [STYLED[1], STYLED[0], STYLED[2]], strict=True)]
    changes = {"method": method, "strength": 0.5, **route}
    assert (edited(**changes) - edited(keyframes=swapped, **changes)).abs().mean() > 1e-4


@BOTH
def test_another_source_changes_the_edit_away_from_the_keyframes(method):  # catches: a source encoded, then never used
    one, other = (edited(frames, method=method, strength=0.5) for frames in (FRAMES, OTHER))
    assert (one - other)[:, :, 2].abs().mean() > 1e-4


@pytest.mark.parametrize("conditioning", ["i2v", "tokens", "both", "none"])
@pytest.mark.parametrize("encoding", ["still", "hold", "delta"])
def test_unstyled_keyframes_give_the_source_back_to_the_bit_without_a_correction(conditioning, encoding):
    # Catches: v_src without the source's own frames, or by another route; a plain target velocity.
    changes = {"method": "difference", "conditioning": conditioning, "keyframe_encoding": encoding}
    assert torch.equal(edited(keyframes=OWN, alpha=0.0, **changes), PointMass().encode(to_pixels(FRAMES)))


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_unstyled_delta_keyframes_give_the_source_back_under_the_correction(guidance):
    changes = {"method": "difference", "keyframe_encoding": "delta", "conditioning": "both"}
    latents = edited(keyframes=OWN, guidance=guidance, negative_prompt="a dog", beta=0.5, **changes)
    assert torch.allclose(latents, PointMass().encode(to_pixels(FRAMES)), atol=1e-12)


@pytest.mark.parametrize("encoding", ["still", "hold"])
def test_unstyled_keyframes_of_another_latent_are_what_the_correction_pulls_to(encoding):  # said in difference's page
    edit = prepared(Curved(), OWN, method="difference", keyframe_encoding=encoding, kappa=1.0)
    latents = final_latents(edit)
    assert torch.allclose(latents[:, :, [0, 1, 3]], edit.problem.keys, atol=1e-9)
    assert (latents - edit.problem.source)[:, :, [1, 3]].abs().mean() > 0.01


@BOTH
def test_the_residual_decode_of_no_edit_is_the_source_to_the_last_bit(method):  # catches: (ref + decode) - decode
    model = PointMass()
    edit = prepared(model, OWN, method=method, detail="residual")
    unchanged = edit.reference.latents
    assert unchanged.dtype == torch.float64  # so that the decoded change rounds otherwise than the source
    assert (finish(edit, unchanged).frames == FRAMES).all()
    assert torch.equal(decode_residual(model, unchanged, edit.reference), to_pixels(FRAMES))
    assert (finish(prepared(model, OWN, method=method), unchanged).frames != FRAMES).mean() > 0.5


def test_the_residual_decode_lays_the_change_on_the_reference():  # catches: a change taken from the wrong latents
    edit = prepared(frames=FRAMES // 4 + 96, detail="residual")
    result = finish(edit, edit.reference.latents + 0.25)
    assert (result.frames == np.round(FRAMES // 4 + 96 + 0.25 * 127.5)).all()


@BOTH
def test_one_seed_gives_one_result_and_another_seed_another(method):  # catches: the global random state, read or moved
    state = torch.get_rng_state()
    one = edited(method=method, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert torch.equal(edited(method=method, seed=3), one)
    assert not torch.equal(edited(method=method, seed=4), one)


def test_the_source_velocity_sees_the_source_prompt_and_its_own_frames():
    words = {"prompt": "a dog", "source_prompt": "a cat", "negative_prompt": "fog"}
    target, source = asked(method="difference", guidance=4.0, source_guidance=2.0, **words).conditions
    assert (target.prompt, target.negative_prompt, target.guidance) == ("a dog", "fog", 4.0)
    assert (source.prompt, source.negative_prompt, source.guidance) == ("a cat", "fog", 2.0)
    assert list(target.images) == list(source.images) == [0, 3, 12]
    assert all((target.images[k.index] == k.image).all() for k in STYLED)
    assert all((source.images[i] == FRAMES[i]).all() for i in (0, 3, 12))
    target, source = asked(method="difference", guidance=4.0).conditions  # nothing of the source's own: the target's
    assert (source.prompt, source.guidance) == (target.prompt, target.guidance) == ("a cat", 4.0)


@pytest.mark.parametrize(
    ("changes", "images", "ids"),
    [
        ({"conditioning": "i2v"}, 3, ()),
        ({"conditioning": "tokens"}, 0, (0, 1, 3)),
        ({"conditioning": "tokens", "positions": "appended"}, 0, (4, 5, 6)),
        ({"conditioning": "tokens", "positions": "restarted"}, 0, (0, 1, 2)),
        ({"conditioning": "both"}, 3, (0, 1, 3)),
        ({"conditioning": "none"}, 0, ()),
        ({"conditioning": "tokens", "keyframes": []}, 0, ()),
    ],
)
def test_each_conditioning_shows_keyframes_its_own_way_and_tokens_at_the_positions_asked_for(changes, images, ids):
    model, seen = PointMass(), set()
    model.velocity = lambda latents, sigma, prepared, given: seen.add((latents.shape[2], given)) or latents
    final_latents(prepared(model, **changes))
    assert len(model.conditions[0].images) == images
    assert seen == {(4 + len(ids), (0, 1, 2, 3, *ids))}
    assert model.conditions[0].key_slots == ((0, 1, 3) if ids else ())


def test_strength_bends_the_grid_of_coupled_and_skips_steps_of_difference():  # catches: one rule for both methods
    assert sigma_grid(settings(strength=0.6)) == wan_sigmas(5, strength=0.6)
    assert sigma_grid(settings(method="difference", strength=0.6)) == wan_sigmas(5)[2:]
    assert sigma_grid(settings(method="difference", strength=1.0, shift=3.0)) == wan_sigmas(5, shift=3.0)


def test_an_unstable_literal_form_warns():
    with pytest.warns(Unusual, match="makes the gap grow at step"):
        prepared(gain="euler")


def test_nothing_runs_until_a_step_is_asked_for_and_stopping_keeps_the_trace():
    model = PointMass()
    edit = prepared(model)
    steps = edit_steps(edit)
    assert model.calls == []
    next(steps)
    second = next(steps)
    steps.close()
    assert len(model.calls) == len(edit.trace.steps) == 2
    assert edit.trace.steps[-1] is second.trace


@BOTH
def test_a_prepared_edit_runs_again_to_the_same_result(method):  # catches: a trace twice as long, a noise that moved on
    edit = prepared(Curved(), method=method)
    first, trace = final_latents(edit), edit.trace
    assert torch.equal(final_latents(edit), first)
    assert len(edit.trace.steps) == len(trace.steps) == len(sigma_grid(edit.settings)) - 1


def test_one_call_holds_no_more_than_the_last_steps(monkeypatch):  # catches: every step kept until the end
    alive, most, coupled = weakref.WeakSet(), [], methods.METHODS["coupled"]

    def watched(problem, begun):
        for state in coupled(problem, begun):
            copy = State(**{**vars(state), "latents": state.latents.clone()})
            alive.add(copy.latents)
            most.append(len(alive))
            yield copy

    monkeypatch.setitem(methods.METHODS, "coupled", watched)
    edit_video(FRAMES, STYLED, PointMass(), settings(steps=20))
    assert max(most) <= 3


@pytest.mark.parametrize(("call", "changes"), [(2, {}), (4, {"conditioning": "tokens", "method": "difference"})])
def test_values_that_are_not_finite_stop_the_run_and_name_the_step(call, changes):  # catches: a black video
    class Breaking(PointMass):
        def velocity(self, *given):
            v = super().velocity(*given)
            if len(self.calls) > call:
                v[:, :, 2] = torch.nan
            return v

    edit = prepared(Breaking(), **changes)
    with pytest.raises(NumericalError, match=r"Step 2 \(sigma 0\.\d+\) gave values that are not finite; try a smaller"):
        list(edit_steps(edit))
    assert [step.step for step in edit.trace.steps] == [0, 1]


@BOTH
def test_the_result_records_the_run(method):
    result = edit_video(FRAMES, STYLED, PointMass(), settings(method=method))
    assert (result.frames.dtype, result.frames.shape) == (np.uint8, FRAMES.shape)
    assert result.source is FRAMES
    assert (result.trace.keyframes, result.trace.slots) == ((0, 3, 12), (0, 1, 3))
    assert (result.trace.method, result.trace.alpha) == (method, 10.0)
    assert set(result.seconds) == {"prepare", "steps", "decode"}
    manifest = json.loads(json.dumps(result.manifest(), allow_nan=False))
    assert (manifest["keyframes"], manifest["settings"]["method"]) == ([0, 3, 12], method)
    assert (manifest["num_frames"], manifest["height"], manifest["width"]) == (13, *SIZE)
    assert manifest["final_gap"] == result.trace.final_gap()


@pytest.mark.parametrize("method", ["colour-map", "propagation"])
def test_a_classical_method_goes_through_the_same_call(monkeypatch, method):
    monkeypatch.setitem(editor.CLASSICAL, method, lambda frames, images: frames + sum(images))
    result = edit_video(FRAMES, STYLED, settings=settings(method=method))
    assert (result.frames == FRAMES + 15).all()
    assert (result.trace.steps, result.trace.keyframes, result.model) == ([], (0, 3, 12), "none")
    assert result.manifest()["final_gap"] is None


@pytest.mark.parametrize("method", ["coupled", "colour-map"])
@pytest.mark.parametrize(
    ("frames", "keyframes", "error", "words"),
    [
        (FRAMES[:12], [], VideoShapeError, "got 12. Use 9 or 13"),
        (FRAMES.astype(np.float32), [], VideoShapeError, "The clip is float32"),
        (FRAMES, [Keyframe(13, FRAMES[0])], KeyframeError, "Keyframe 13 is outside"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_inputs_that_do_not_fit_are_refused_before_anything_runs(method, frames, keyframes, error, words):
    model = PointMass()
    with pytest.raises(error, match=words):
        edit_video(frames, keyframes, model, settings(method=method))
    assert model.conditions == []


def test_a_method_that_has_no_steps_or_no_model_and_a_wrong_size_are_refused():
    with pytest.raises(VideoShapeError, match=r"of 4; got 7x12\. Use 4x12 or 8x12"):
        prepared(frames=FRAMES[:, :7], keyframes=[])
    with pytest.raises(SettingError, match="'propagation' has no steps; call edit_video, or use c"):
        prepared(method="propagation")
    with pytest.raises(ModelError, match="Method coupled needs a model: load one, or use colour-map, p"):
        edit_video(FRAMES, STYLED)


@BOTH
def test_where_a_mask_is_black_the_latents_stay_the_sources(method):  # catches: the wrong slot, or a step late
    mask = np.zeros((13, *SIZE), np.float32)
    mask[:, :, :4] = 1
    edit = prepared(Curved(), mask=mask, method=method)
    latents, source = final_latents(edit), edit.problem.source
    assert torch.equal(latents[..., 1:], source[..., 1:])
    assert (latents - source)[..., :1].abs().mean() > 0.01
