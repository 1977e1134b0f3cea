"""Residual, gain and the gap law, on NumPy arrays and tensors alike."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from flowedit import correction
from flowedit.errors import UnusualSettingWarning
from flowedit.flow import euler_step
from flowedit.schedule import wan_sigmas


@pytest.fixture(params=["numpy", "torch"])
def branches(request):
    values = np.random.default_rng(1).standard_normal((4, 3, 5))
    return tuple(values) if request.param == "numpy" else tuple(torch.from_numpy(value) for value in values)


def test_the_residual_is_the_gap_that_the_next_step_would_leave(branches):  # catches: + v_diff * dt
    x_main, x_key, v_main, v_key = branches
    gap = correction.residual(x_main, x_key, v_main, v_key, 0.3)
    left = euler_step(x_main, v_main, 0.8, 0.5) - euler_step(x_key, v_key, 0.8, 0.5)
    assert abs(gap.r - left).max() < 1e-12
    assert (gap.z_diff == x_main - x_key).all()
    assert (gap.v_diff == v_main - v_key).all()


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kappa", [0.0, 0.4, 1.0, 2.5])
def test_one_corrected_step_obeys_the_law(branches, kappa, beta):  # catches: beta of the wrong sign, push without / dt
    x_main, x_key, v_main, v_key = branches
    r = correction.residual(x_main, x_key, v_main, v_key, 0.3).r
    v_main, v_key = correction.correct(v_main, v_key, r, kappa / 0.3, beta)
    left = euler_step(x_main, v_main, 0.8, 0.5) - euler_step(x_key, v_key, 0.8, 0.5)
    assert abs(left - correction.gap_law(r, kappa, beta)).max() < 1e-12
    assert abs(left - (1 - kappa * (1 + beta)) * r).max() < 1e-12


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_exact_gain_is_the_limit_of_many_small_euler_steps(beta):  # catches: 1 + beta left out of the exponent
    alpha, dt, parts = 10.0, 0.2, 200_000
    kappa = correction.Euler(alpha)(dt / parts)
    many_small = 1 - (1 - kappa * (1 + beta)) ** parts
    assert correction.Exact(alpha)(dt, beta) * (1 + beta) == pytest.approx(many_small, rel=1e-4)


def test_the_exact_gain_always_contracts():  # catches: a gain that can overshoot
    for alpha in (0.0, 1.0, 10.0, 20.0):
        for beta in (0.0, 0.5, 1.0):
            for dt in (1e-3, 0.1, 0.357):
                assert 0 <= correction.Exact(alpha)(dt, beta) * (1 + beta) < 1
    tiny = correction.Exact(1e-12)(1e-3)
    assert tiny == pytest.approx(1e-15, rel=1e-9, abs=0)  # catches: 1 - exp, which gives 1.1e-15


def test_unstable_steps_are_those_at_which_the_gap_grows():  # catches: an inequality the wrong way round, beta left out
    last = [n for n in (10, 20, 30, 50) if n - 1 in correction.unstable_steps(10.0, 0.0, wan_sigmas(n))]
    assert last == [10, 20], "as the method page says"
    assert 29 in correction.unstable_steps(10.0, 0.5, wan_sigmas(30))
    sigmas = wan_sigmas(20)
    kappas = [correction.Euler(10.0)(a - b) for a, b in pairwise(sigmas)]
    growing = [i for i, kappa in enumerate(kappas) if abs(correction.gap_law(1.0, kappa)) >= 1]
    assert growing == correction.unstable_steps(10.0, 0.0, sigmas) == [19]


def test_an_unstable_rate_warns_with_the_step_the_amount_and_the_cure():
    words = (
        r"step 19: alpha \* dt \* \(1 \+ beta\) = 2.08, .*under 2. Use a smaller alpha, more steps, or the exact gain"
    )
    with pytest.warns(UnusualSettingWarning, match=words):
        correction.warn_if_unstable(correction.Euler(10.0), 0.0, wan_sigmas(20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        correction.warn_if_unstable(correction.Euler(1.0), 0.0, wan_sigmas(20))
        correction.warn_if_unstable(correction.Exact(10.0), 0.0, wan_sigmas(20))
