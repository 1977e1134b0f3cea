"""Both methods against exact answers: point masses, the gap law through the real loop, and planted mistakes."""

from dataclasses import replace

import pytest
import torch
from mutants import mutant
from oracles import Curved, pictures, point_problem, point_velocity

from flowedit import flow, methods
from flowedit.correction import Constant, Exact
from flowedit.edit.steps import edit_steps, prepare
from flowedit.flow import interpolate, velocity
from flowedit.keyframes import Keyframe
from flowedit.methods import branches
from flowedit.methods.coupled import coupled
from flowedit.methods.difference import difference
from flowedit.schedule import wan_sigmas
from flowedit.settings import EditSettings

SIGMAS = wan_sigmas(6, strength=0.8)
BOTH = pytest.mark.parametrize("method", [coupled, difference], ids=["coupled", "difference"])
KEYFRAMES = [Keyframe(index, picture) for index, picture in zip((0, 3, 12), pictures(3, seed=5), strict=True)]


def rms(latents):
    return latents.square().mean(dim=(0, 1, 3, 4)).sqrt()


def law_settings(method, **changes):
    return EditSettings.of(method=method, steps=6, prompt="a", source_prompt="b", guidance=2.0, **changes)


def worst_departure_from_the_law(settings):
    """Run the real loop in float64; the largest |gap - (1 - kappa (1 + beta)) r|, relative to the largest |r|."""
    prepared = prepare(pictures(13), KEYFRAMES, Curved(), settings)
    slots, worst = list(prepared.problem.slots), 0.0
    for step in edit_steps(prepared):
        r = step.gap.before.r
        gap = step.x_main[:, :, slots] - step.x_key
        assert gap.dtype == torch.float64
        law = (1 - step.trace.kappa * (1 + settings.beta)) * r
        worst = max(worst, float((gap - law).abs().max() / r.abs().max()))
    assert len(prepared.trace.steps) > 2
    return worst


GAINS = {"kappa": 0.3}, {"gain": "euler", "alpha": 2.0}, {"alpha": 0.0}, {"kappa": 1.0}
ROUTES = [
    {"conditioning": route, "beta": beta} for route in ("none", "i2v", "tokens", "both") for beta in (0.0, 0.5, 1.0)
]


@pytest.mark.parametrize("changes", [*ROUTES, *({"beta": 0.5, **gain} for gain in GAINS)])
@pytest.mark.parametrize("method", ["coupled", "difference"])
def test_the_gap_law_holds_through_the_real_loop(method, changes):
    # Catches: a plain target velocity in the correction, wrong slots, a second dt, beta's sign, stale noise, no gain.
    assert worst_departure_from_the_law(law_settings(method, **changes)) < 1e-6


@pytest.mark.parametrize("method", ["coupled", "difference"])
def test_the_trace_reads_the_state_after_the_step(method):  # catches: a gap before it, or not relative
    prepared = prepare(pictures(13), KEYFRAMES, Curved(), law_settings(method, beta=0.5))
    slots = list(prepared.problem.slots)
    scale = rms(prepared.problem.source[:, :, slots] - prepared.problem.keys)
    for step in edit_steps(prepared):
        gap = step.x_main[:, :, slots] - step.x_key
        assert step.trace.r_k_norm == pytest.approx(rms(step.gap.before.r).tolist())
        assert step.trace.v_diff_norm == pytest.approx(rms(step.gap.before.v_diff).tolist())
        assert step.trace.gap_norm == pytest.approx((rms(gap) / scale).tolist(), abs=1e-9)
        assert step.trace.kappa == pytest.approx(Exact(10.0)(step.trace.sigma - step.trace.sigma_next, 0.5))


def test_a_plain_target_velocity_would_break_the_law(monkeypatch):  # the law's test has the power that it claims
    wrong = mutant(
        "flowedit.methods.difference",
        (
            "v_main, v_key = drift + velocity(source, noise), velocity(keys, noise_key)",
            "v_main, v_key = (plain := problem.v_target(x_target, x_key, sigma)), velocity(keys, noise_key)",
        ),
        ("euler_step(edit, v_main - velocity(source, noise), ", "euler_step(edit, drift + v_main - plain, "),
    )
    monkeypatch.setitem(methods.METHODS, "difference", wrong.difference)
    assert worst_departure_from_the_law(law_settings("difference")) > 0.1


def lands_on_the_target(method):
    """Whether an edit between point masses ends exactly on the target and stays on the straight way there."""
    problem, target = point_problem(SIGMAS)
    for state, sigma_next in zip(method(problem), SIGMAS[1:], strict=True):
        way = target + (problem.source - target) * (sigma_next / SIGMAS[0])
        if method.__name__ == "difference" and not torch.allclose(state.latents, way, atol=1e-9):
            return False
    return bool(torch.allclose(state.latents, target, atol=1e-9))


@BOTH
def test_between_point_masses_the_edit_lands_exactly_on_the_target(method):
    assert lands_on_the_target(method)


PLANTED = {
    "target seen at the edit itself": ("x_target = x_source + (edit - source)", "x_target = edit"),
    "source seen where the target is": ("problem.v_source(x_source,", "problem.v_source(x_target,"),
    "target minus source swapped": ("v_main, v_key = drift +", "v_main, v_key = -drift +"),
    "step taken uphill": (
        "edit = euler_step(edit, v_main - velocity(source, noise), sigma, sigma_next)",
        "edit = euler_step(edit, v_main - velocity(source, noise), sigma_next, sigma)",
    ),
    "velocities asked for at the next sigma": (
        "drift = problem.v_target(x_target, x_key, sigma)",
        "drift = problem.v_target(x_target, x_key, sigma_next + 1e-3)",
    ),
}


@pytest.mark.parametrize(("right", "wrong"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_mistake_in_difference_misses_the_target(right, wrong):
    assert not lands_on_the_target(mutant("flowedit.methods.difference", (right, wrong)).difference)


def test_a_swapped_interpolation_is_caught_by_the_velocity():  # the sixth, which landing alone does not see
    right, swapped = "return (1 - sigma) * data + sigma * noise", "return sigma * data + (1 - sigma) * noise"
    problem, target = point_problem(SIGMAS)
    for module, equal in ((flow, True), (mutant("flowedit.flow", (right, swapped)), False)):
        exact = point_velocity(target)(module.interpolate(target, problem.noise, 0.7), None, 0.7)
        assert torch.allclose(exact, velocity(target, problem.noise), atol=1e-9) == equal


@BOTH
def test_with_an_ideal_field_only_the_last_push_remains(method):  # catches: a correction that is undone twice
    gain = Exact(10.0)
    problem, target = point_problem(SIGMAS, gain=gain)
    *_, last = method(problem)
    slots = list(problem.slots)
    left = (1 - gain(SIGMAS[-2])) * (target[:, :, slots] - problem.keys)
    assert torch.allclose(last.latents[:, :, slots] - problem.keys, left, atol=1e-9)
    others = [slot for slot in range(4) if slot not in slots]
    assert torch.allclose(last.latents[:, :, others], target[:, :, others], atol=1e-9)


@BOTH
def test_closing_the_whole_gap_puts_the_slots_on_the_keyframes(method):  # catches: pixel indices on the latent axis
    problem, _ = point_problem(SIGMAS, gain=Constant(1.0))
    *_, last = method(problem)
    assert torch.allclose(last.latents[:, :, list(problem.slots)], problem.keys, atol=1e-9)
    assert rms(last.gap.left) == pytest.approx((0, 0), abs=1e-9)


@BOTH
def test_both_branches_start_on_one_noise(method):  # catches: a noise of the keyframes' own
    problem, _ = point_problem(SIGMAS)
    first = next(method(problem))
    style = rms(problem.source[:, :, list(problem.slots)] - problem.keys)
    assert rms(first.gap.before.z_diff) == pytest.approx((1 - SIGMAS[0]) * style, abs=1e-12)


@BOTH
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_an_anchored_branch_ends_on_the_keyframe_unless_it_meets_the_clip(method, beta):
    problem, _ = point_problem(SIGMAS, gain=Exact(10.0), beta=beta)
    *_, last = method(problem)
    assert torch.allclose(last.x_key, problem.keys, atol=1e-9) == (beta == 0)


@BOTH
def test_the_estimate_of_every_step_is_clean(method):  # catches: a preview of the noisy state
    problem, target = point_problem(SIGMAS)
    for state in method(problem):
        left = (state.latents - target).flatten()
        assert abs(torch.corrcoef(torch.stack([left, problem.noise.flatten()]))[0, 1]) < 0.5
        assert method is difference or left.abs().max() < 1e-9


@BOTH
def test_the_model_may_change_the_clip_after_every_step(method):  # catches: the hook's answer thrown away
    def clamp(latents, sigma):
        sigmas.append(sigma)
        return torch.cat([torch.full_like(latents[:, :, :1], 7.0), latents[:, :, 1:]], dim=2)

    sigmas = []
    problem, _ = point_problem(SIGMAS, hook=clamp)
    *_, last = method(problem)
    assert (last.latents[:, :, 0] == 7).all()
    assert sigmas == list(SIGMAS[1:])


@BOTH
def test_without_keyframes_the_plain_flow_runs(method):
    problem, target = point_problem(SIGMAS, slots=())
    *_, last = method(problem)
    assert torch.allclose(last.latents, target, atol=1e-9)
    assert last.gap.left.shape[2] == 0


@pytest.mark.parametrize("ids", [(0, 1, 2, 3), (0, 1, 2, 3, 0, 1, 2)])
def test_a_joint_sequence_is_taken_apart_where_it_was_joined(ids):  # catches: keyframes before the clip
    model, seen = Curved(), []
    model.velocity = lambda latents, sigma, prepared, ids: seen.append((latents.shape[2], ids)) or latents * 2
    x, x_key = torch.randn(1, 2, 4, 3, 4), torch.randn(1, 2, 3, 3, 4)
    assert torch.equal(branches.model_velocity(model, None, ids)(x, x_key, 0.5), 2 * x)
    assert seen == [(len(ids), ids)]


def test_wrong_shapes_are_refused_while_testing():  # catches: an import hook that checks nothing
    latents = torch.zeros(1, 2, 4, 3, 4)
    branches.coupled_noise(latents, [0])
    with pytest.raises(Exception, match="Type-check error"):
        branches.coupled_noise(latents[0], [0])


def test_the_source_branch_sees_the_sources_own_frames():
    # Catches: styled keyframes shown to the velocity that is subtracted, by which the change of style cancels.
    seen = []

    def watched(x_main, x_key, sigma):
        seen.append((x_key, sigma))
        return problem.v_source(x_main, x_key, sigma)

    problem = prepare(pictures(13), KEYFRAMES, Curved(), law_settings("difference", conditioning="tokens")).problem
    next(difference(replace(problem, v_source=watched)))
    ((x_key, sigma),) = seen
    assert torch.equal(x_key, interpolate(problem.source_keys, problem.noise_key, sigma))
    assert not torch.equal(problem.source_keys, problem.keys)
