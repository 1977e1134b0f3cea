"""Closed-form fields, solvers against exact flows, and the gap on exact fields: each test names its mistake."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from flowedit.correction import Constant, Euler, Exact, gap_law
from flowedit.errors import SettingError
from flowedit.flow import interpolate, velocity
from flowedit.methods.branches import EditProblem
from flowedit.methods.difference import difference
from flowedit.schedule import wan_sigmas
from flowedit.toy import (
    SCENES,
    Mixture,
    branches_of,
    difference_field,
    euler,
    gaussian,
    gaussian_flow,
    heun,
    kappas_of,
    last_only,
    observed_order,
    point_mass,
    solve,
    stage,
    trajectory,
    two_branches,
)

UNEVEN = Mixture(np.array([0.2, 0.5, 0.3]), np.array([[-1.0, 0.5], [1.5, 0.0], [0.0, -2.0]]), np.array([0.3, 0.0, 0.7]))
DATA = gaussian([1.0, -0.5], 0.6)
NOISE = np.random.default_rng(3).standard_normal((64, 2))
SIGMAS = wan_sigmas(12, strength=0.8)
BOTH = pytest.mark.parametrize("solver", [euler, heun])


def test_the_marginal_velocity_is_the_mean_of_noise_minus_data():
    """Catches posterior weights that forget the mixture's weights, the variances or their normalising constant."""
    rng = np.random.default_rng(1)
    count, sigma = 400_000, 0.55
    data, noise = UNEVEN.sample(count, rng), rng.standard_normal((count, 2))
    x = interpolate(data, noise, sigma)
    error = velocity(data, noise) - UNEVEN.velocity(x, sigma)
    tests = np.column_stack([np.ones(count), x[:, 0] > 0, x[:, 1] > 0, x[:, 0] > 1, np.tanh(x[:, 0] * x[:, 1])])
    for column in tests.T:
        product = error * column[:, None]
        assert np.all(np.abs(product.mean(axis=0)) < 5 * product.std(axis=0) / np.sqrt(count))


def test_the_density_obeys_the_continuity_equation():
    """Catches a velocity and a density that belong to different distributions, or to opposite times."""
    x, sigma, h = np.array([[0.3, -0.4], [1.0, 0.2]]), 0.5, 1e-4
    change = (UNEVEN.density(x, sigma + h) - UNEVEN.density(x, sigma - h)) / (2 * h)

    def flux(at, axis):
        return UNEVEN.density(at, sigma) * UNEVEN.velocity(at, sigma)[:, axis]

    steps = h * np.eye(2)
    divergence = sum((flux(x + steps[a], a) - flux(x - steps[a], a)) / (2 * h) for a in (0, 1))
    assert np.abs(change).max() > 0.01
    np.testing.assert_allclose(change, -divergence, atol=1e-6)


def test_the_density_integrates_to_one_in_any_dimension():
    """Catches a missing normalising constant, and a dimension written down as 2."""
    axis = np.linspace(-8, 8, 401)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert UNEVEN.density(plane, 0.7).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)
    line, two = np.linspace(-8, 8, 4001)[:, None], Mixture.even([(-1.0,), (1.0,)], 0.1)
    assert two.density(line, 0.3).sum() * (line[1, 0] - line[0, 0]) == pytest.approx(1, abs=1e-9)
    assert two.velocity(np.array([[0.0]]), 0.5) == pytest.approx(0, abs=1e-12)


def test_velocity_stays_finite_far_away():
    """Catches a posterior computed without its largest exponent taken out."""
    assert np.isfinite(UNEVEN.velocity(np.array([[1e4, -1e4]]), 0.01)).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Mixture(np.ones(2), np.zeros((2, 2)), np.zeros(2)), "sum to 1"),
        (lambda: Mixture(np.ones(1), np.zeros((2, 2)), np.zeros(1)), "do not belong together"),
        (lambda: Mixture(np.ones(1), np.zeros((1, 2)), -np.ones(1)), "none may be negative"),
        (lambda: point_mass([0.0]).velocity(np.ones((1, 1)), 0.0), "take sigma > 0"),
        (lambda: gaussian_flow(UNEVEN, np.zeros((1, 2)), 0.5), "3 components"),
        (lambda: observed_order([0.1], [10]), "two different"),
        (lambda: observed_order([0.1, 0.0], [10, 20]), "positive"),
        (lambda: next(two_branches(start(0.0), SIGMAS, [0.5])), "1 kappas for 12 steps"),
    ],
)
def test_refusals_name_the_cure(make, says):
    with pytest.raises(SettingError, match=says):
        make()


def test_gaussian_flow_starts_at_noise_and_ends_on_the_data():
    noise = np.array([[1.0, -2.0]])
    np.testing.assert_allclose(gaussian_flow(gaussian([3.0, 1.0], 0.5), noise, 1.0), noise)
    np.testing.assert_allclose(gaussian_flow(gaussian([3.0, 1.0], 0.5), noise, 0.0), [[3.5, 0.0]])


def errors_of(solver, shift=1.0, steps=(20, 40, 80, 160)):
    exact = gaussian_flow(DATA, NOISE, 0.0)
    grids = [wan_sigmas(count, shift=shift) for count in steps]
    return [float(np.abs(solve(solver, DATA.velocity, NOISE, grid) - exact).max()) for grid in grids], steps


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_observed_order(solver, order, shift):
    """Catches a step of the wrong sign, a velocity taken at the wrong end, and a second stage that is not averaged."""
    assert observed_order(*errors_of(solver, shift)) == pytest.approx(order, abs=0.15)


SOURCE_POINT, TARGET_POINT = np.array([-1.5, 0.5]), np.array([2.0, 1.0])


@BOTH
def test_between_point_masses_the_edit_moves_straight_to_the_target(solver):
    """Catches flipped time, the step's sign, velocities exchanged, an uncoupled target, a source read elsewhere."""
    source, sigmas = np.broadcast_to(SOURCE_POINT, NOISE.shape), wan_sigmas(6)
    field = difference_field(point_mass(SOURCE_POINT).velocity, point_mass(TARGET_POINT).velocity, source, NOISE)
    for points, sigma in zip(trajectory(solver, field, source, sigmas), sigmas, strict=True):
        expected = SOURCE_POINT + (1 - sigma) * (TARGET_POINT - SOURCE_POINT)
        np.testing.assert_allclose(points, np.broadcast_to(expected, points.shape), atol=1e-9)


@pytest.mark.parametrize("name", sorted(SCENES))
def test_equal_fields_leave_the_source_where_it_is(name):
    """Catches a noise that the two sides do not share, and an edit displaced by something else than the source."""
    data = SCENES[name].source
    source = data.sample(len(NOISE), np.random.default_rng(4))
    field = difference_field(data.velocity, data.velocity, source, NOISE)
    np.testing.assert_allclose(solve(heun, field, source, wan_sigmas(12)), source, atol=1e-12)


C_MAIN, C_KEY = np.array([0.4, -0.2]), np.array([-0.6, 0.8])


def start(spread):
    return branches_of(gaussian(C_MAIN, spread), gaussian(C_KEY, spread), NOISE, SIGMAS[0])


def run(spread, kappas, beta=0.0):
    return list(two_branches(start(spread), SIGMAS, kappas, beta=beta))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("gain", [Exact(10.0), Euler(4.0), Constant(0.3)])
def test_the_gap_law_holds_at_every_step(gain, beta):
    """Catches a push of the wrong sign, one on the wrong branch, and a step length missing from it."""
    for step in run(0.5, kappas_of(gain, SIGMAS, beta), beta):
        np.testing.assert_allclose(step.gap, gap_law(step.r, step.kappa, beta), atol=1e-12)


def test_with_ideal_fields_every_push_but_the_last_is_forgotten_and_a_wide_one_keeps_part():
    """Catches a residual read at the wrong sigma, and fields that do not look at `x`."""
    kappas = kappas_of(Exact(10.0), SIGMAS)
    every, last = (run(0.0, k)[-1].gap for k in (kappas, last_only(kappas)))
    expected = np.broadcast_to((1 - kappas[-1]) * (C_MAIN - C_KEY), every.shape)
    np.testing.assert_allclose(every, expected, atol=1e-9)
    np.testing.assert_allclose(last, expected, atol=1e-9)
    every, last = (np.abs(run(0.5, k)[-1].gap).max() for k in (kappas, last_only(kappas)))
    assert every < 0.8 * last


def test_the_literal_gain_grows_the_gap_where_its_steps_are_too_long():
    """Catches a gain that is not integrated over the step."""
    grows = [np.abs(s.gap).max() > np.abs(s.r).max() for s in run(0.5, kappas_of(Euler(10.0), SIGMAS))]
    assert grows == [10.0 * (a - b) > 2 for a, b in pairwise(SIGMAS)]
    assert any(grows)


@pytest.mark.parametrize("one_noise", [True, False])
@pytest.mark.parametrize("corrected", [True, False])
def test_the_stage_is_the_package_s_own_method(one_noise, corrected):
    """Catches a stage that teaches another loop than `difference`."""
    noises, kappa = stage.draw(3), 0.25 if corrected else 0.0

    def tensor(points):  # (n, 2) -> (1, 2, n, 1, 1)
        return torch.from_numpy(np.asarray(points).T[None, :, :, None, None].copy())

    def velocity_of(centres):
        field = stage.field(centres)
        return lambda x_main, x_key, sigma: tensor(field(x_main[0, :, :, 0, 0].numpy().T, sigma))

    class Own(EditProblem):
        noise_key = tensor(noises[[stage.SLOT if one_noise else stage.FRAMES]])

    keys, source = tensor([stage.SOURCE[stage.SLOT] + stage.STYLE]), tensor(stage.SOURCE)
    problem = Own(
        source=source, keys=keys, source_keys=source[:, :, [stage.SLOT]], slots=(stage.SLOT,),
        noise=tensor(noises[: stage.FRAMES]), sigmas=stage.SIGMAS, gain=lambda dt, beta: kappa, beta=0.0,
        v_target=velocity_of(stage.expected(shared_position=True)), v_source=velocity_of(stage.SOURCE),
        hook=lambda latents, sigma: latents,
    )  # fmt: skip
    states = list(difference(problem))
    moments = list(stage.play(stage.Switches(one_noise=one_noise, corrected=corrected), noises))
    for state, moment in zip(states, moments[1:], strict=True):
        np.testing.assert_allclose(state.latents[0, :, :, 0, 0].numpy().T, moment.edit, atol=1e-12)
