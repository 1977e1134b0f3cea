"""Ideas that only the benchmark measures: each does to a run what its row says it does."""

from collections import deque
from dataclasses import replace

import pytest
import torch
from oracles import PointMass, point_problem

from benchmarks.ideas import faded, in_phases, isolated
from benchmarks.memory import Remembering
from flowedit.correction import constant_gain, exact_gain
from flowedit.errors import ModelError, SettingError
from flowedit.methods.difference import difference

SIGMAS = (0.9, 0.7, 0.6, 0.4, 0.1, 0.0)


def test_each_phase_has_its_own_share():  # catches: phases in another order, or a step dealt out twice
    problem, _ = point_problem(SIGMAS)
    halves = in_phases(problem, (0.8, 0.0))
    for _again in range(2):
        assert [step.trace.kappa for step in difference(halves)] == [0.8, 0.8, 0.8, 0.0, 0.0]
    kappas = [step.trace.kappa for step in difference(in_phases(problem, (0.1, 0.2, 0.3, 0.4, 0.5)))]
    assert kappas == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("slots", [(0, 3), (1,)])
def test_neighbours_move_by_their_share_of_what_the_correction_took(slots):
    """Catches a gap in the wrong space, a neighbour that follows the farther keyframe, and keyframes moved twice."""
    alpha, weights = 4.0, (0.5, 0.25)
    free, _ = point_problem(SIGMAS[:2], slots=slots)
    plain, _ = point_problem(SIGMAS[:2], slots=slots, gain=exact_gain(alpha))
    without, with_it, spread = (next(iter(difference(p))).latents for p in (free, plain, faded(plain, weights)))
    took = with_it - without
    nearest = {(0, 3): (0, 0, 3, 3), (1,): (1, 1, 1, 1)}[slots]
    share = {0: 1.0, 1: weights[0], 2: weights[1]}
    expected = torch.stack([share[abs(s - key)] * took[:, :, key] for s, key in enumerate(nearest)], dim=2)
    assert took[:, :, slots[0]].abs().max() > 0.01
    torch.testing.assert_close(spread - without, expected, atol=1e-12, rtol=1e-12)


def test_the_models_own_hook_still_runs():
    seen = []
    problem, _ = point_problem(SIGMAS, gain=exact_gain(4.0), after_step=lambda x, sigma: (seen.append(sigma), x)[1])
    deque(difference(faded(problem, (0.5,))), maxlen=0)
    assert seen == list(SIGMAS[1:])


@pytest.mark.parametrize("changes", [{"beta": 0.5}, {"gain": constant_gain(1.0)}])
def test_what_the_fading_cannot_know_is_refused(changes):
    problem, _ = point_problem(SIGMAS, **changes)
    with pytest.raises(SettingError, match="use 0 and less than 1"):
        faded(problem, (0.5,))


def test_only_a_wan_model_has_tokens_to_isolate():
    with (
        pytest.raises(ModelError, match="point mass has no tokens"),
        isolated(Remembering(PointMass()), 5, token_lora=False),
    ):
        pass


def test_a_row_with_the_lora_needs_one():
    from flowedit.models import load_model

    model = load_model("tiny", device="cpu")
    model.trained = replace(model.trained, joint=None)
    with pytest.raises(ModelError, match="no LoRA for joint tokens"), isolated(model, 5, token_lora=True):
        pass


@pytest.mark.parametrize("token_lora", [False, True])
def test_isolation_is_over_with_its_block(token_lora):
    """Catches keyframes that look at the clip, a clip that sees none, and isolation of the wrong one or for good."""
    from flowedit.frames import ClipShape
    from flowedit.model import Condition
    from flowedit.models import load_model

    model = load_model("tiny", device="cpu")
    shape = ClipShape(num_frames=5, height=32, width=32)
    prepared = model.prepare(Condition(shape=shape, key_slots=(1,), token_lora=token_lora))
    noise = torch.randn(1, 32, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    other = torch.cat([noise[:, :, :2] + 1, noise[:, :, 2:]], dim=2)
    restyled = torch.cat([noise[:, :, :2], noise[:, :, 2:] + 1], dim=2)

    def both():
        with torch.no_grad():
            return [model.velocity(x, 0.5, prepared, (0, 1, 1)) for x in (noise, other, restyled)]

    before = both()
    with isolated(Remembering(model), 5, token_lora=token_lora):
        inside = both()
    after = both()
    torch.testing.assert_close(inside[0][:, :, 2], inside[1][:, :, 2])
    assert (before[0] - before[1])[:, :, 2].abs().max() > 1e-3
    assert (inside[0] - inside[2])[:, :, :2].abs().max() > 1e-3
    assert (inside[0] - before[0])[:, :, :2].abs().max() > 1e-4
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
