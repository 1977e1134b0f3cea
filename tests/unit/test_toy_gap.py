"""The gap law on exact fields, and the two facts about what a push is worth."""

from itertools import pairwise

import numpy as np
import pytest

from flowedit.correction import Constant, Euler, Exact, gap_law
from flowedit.errors import SettingError
from flowedit.flow import interpolate
from flowedit.schedule import wan_sigmas
from flowedit.toy import gaussian, kappas_of, last_only, two_branches
from flowedit.toy.gap import Branches

NOISE = np.random.default_rng(6).standard_normal((8, 3))
C_MAIN, C_KEY = np.array([0.4, -0.2, 1.0]), np.array([-0.6, 0.8, 0.0])
D = C_MAIN - C_KEY
SIGMAS = wan_sigmas(12, strength=0.8)


def start(spread, noise_key=NOISE):
    main, key = gaussian(C_MAIN, spread), gaussian(C_KEY, spread)
    return Branches(
        main.velocity, key.velocity, interpolate(C_MAIN, NOISE, SIGMAS[0]), interpolate(C_KEY, noise_key, SIGMAS[0])
    )


def run(spread, kappas, beta=0.0):
    return list(two_branches(start(spread), SIGMAS, kappas, beta=beta))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("gain", [Exact(10.0), Euler(4.0), Constant(0.3)])
def test_the_gap_law_holds_at_every_step(gain, beta):
    """Catches a push of the wrong sign, one on the wrong branch, and a step length missing from it."""
    for step in run(0.5, kappas_of(gain, SIGMAS, beta), beta):
        np.testing.assert_allclose(step.gap, gap_law(step.r, step.kappa, beta), atol=1e-12)


def test_with_ideal_fields_every_push_but_the_last_is_forgotten():
    """Catches a residual read at the wrong sigma: then an earlier push would leave something behind."""
    kappas = kappas_of(Exact(10.0), SIGMAS)
    every, last = run(0.0, kappas)[-1].gap, run(0.0, last_only(kappas))[-1].gap
    expected = np.broadcast_to((1 - kappas[-1]) * D, every.shape)
    np.testing.assert_allclose(every, expected, atol=1e-9)
    np.testing.assert_allclose(last, expected, atol=1e-9)


def test_a_field_that_reads_where_it_is_keeps_part_of_each_push():
    """Catches fields that do not look at `x`: then the wide data would forget as the point mass does."""
    kappas = kappas_of(Exact(10.0), SIGMAS)
    every, last = (np.abs(run(0.5, k)[-1].gap).max() for k in (kappas, last_only(kappas)))
    assert every < 0.8 * last


def test_the_exact_gain_always_contracts_and_the_literal_one_does_not():
    """Catches a gain that is not integrated over the step."""
    for alpha in (1.0, 10.0, 100.0):
        ratios = [np.abs(s.gap).max() / np.abs(s.r).max() for s in run(0.5, kappas_of(Exact(alpha), SIGMAS))]
        assert max(ratios) < 1
    grows = [np.abs(s.gap).max() > np.abs(s.r).max() for s in run(0.5, kappas_of(Euler(10.0), SIGMAS))]
    assert grows == [10.0 * (a - b) > 2 for a, b in pairwise(SIGMAS)]
    assert any(grows)


def test_without_coupled_noise_the_first_residual_is_the_noise():
    """Catches two branches that draw their own noise."""
    other = np.random.default_rng(7).standard_normal(NOISE.shape)
    first = next(two_branches(start(0.5, other), SIGMAS, [0.0] * 12))
    coupled = next(two_branches(start(0.5), SIGMAS, [0.0] * 12))
    assert np.sqrt((first.r**2).mean()) > 3 * np.sqrt((coupled.r**2).mean())


def test_a_kappa_for_every_step():
    with pytest.raises(SettingError, match="1 kappas for 12 steps"):
        next(two_branches(start(0.0), SIGMAS, [0.5]))
