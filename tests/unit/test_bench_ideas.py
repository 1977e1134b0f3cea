"""Ideas that only the benchmark measures: each does to a run what its row says it does."""

from collections import deque

import pytest
import torch
from oracles import point_problem

from benchmarks.ideas import faded, in_phases
from flowedit.correction import Constant, Exact
from flowedit.errors import SettingError
from flowedit.methods.difference import difference

SIGMAS = (0.9, 0.7, 0.6, 0.4, 0.1, 0.0)


def test_each_phase_has_its_own_share():  # catches: phases in another order, or a step dealt out twice
    problem, _ = point_problem(SIGMAS)
    halves = in_phases(problem, (0.8, 0.0))
    for _again in range(2):
        assert [state.gap.kappa for state in difference(halves)] == [0.8, 0.8, 0.8, 0.0, 0.0]
    kappas = [state.gap.kappa for state in difference(in_phases(problem, (0.1, 0.2, 0.3, 0.4, 0.5)))]
    assert kappas == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("slots", [(0, 3), (1,)])
def test_neighbours_move_by_their_share_of_what_the_correction_took(slots):
    """Catches a gap in the wrong space, a neighbour that follows the farther keyframe, and keyframes moved twice."""
    alpha, weights = 4.0, (0.5, 0.25)
    free, _ = point_problem(SIGMAS[:2], slots=slots)
    plain, _ = point_problem(SIGMAS[:2], slots=slots, gain=Exact(alpha))
    without, with_it, spread = (next(iter(difference(p))).latents for p in (free, plain, faded(plain, weights)))
    took = with_it - without
    nearest = {(0, 3): (0, 0, 3, 3), (1,): (1, 1, 1, 1)}[slots]
    share = {0: 1.0, 1: weights[0], 2: weights[1]}
    expected = torch.stack([share[abs(s - key)] * took[:, :, key] for s, key in enumerate(nearest)], dim=2)
    assert took[:, :, slots[0]].abs().max() > 0.01
    torch.testing.assert_close(spread - without, expected, atol=1e-12, rtol=1e-12)


def test_the_models_own_hook_still_runs():
    seen = []
    problem, _ = point_problem(SIGMAS, gain=Exact(4.0), hook=lambda x, sigma: (seen.append(sigma), x)[1])
    deque(difference(faded(problem, (0.5,))), maxlen=0)
    assert seen == list(SIGMAS[1:])


@pytest.mark.parametrize("changes", [{"beta": 0.5}, {"gain": Constant(1.0)}])
def test_what_the_fading_cannot_know_is_refused(changes):
    problem, _ = point_problem(SIGMAS, **changes)
    with pytest.raises(SettingError, match="use 0 and less than 1"):
        faded(problem, (0.5,))
