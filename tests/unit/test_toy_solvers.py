"""Solvers against the closed-form flow of one Gaussian, and the difference flow between exact fields."""

import numpy as np
import pytest

from flowedit.errors import SettingError
from flowedit.schedule import wan_sigmas
from flowedit.toy import (
    SCENES,
    difference_field,
    euler,
    gaussian,
    heun,
    observed_order,
    point_mass,
    solve,
    trajectory,
)
from flowedit.toy.mixture import gaussian_flow

DATA = gaussian([1.0, -0.5], 0.6)
NOISE = np.random.default_rng(3).standard_normal((64, 2))
STEPS = (20, 40, 80, 160)


def errors_of(solver, data, shift=1.0):
    exact = gaussian_flow(data, NOISE, 0.0)
    return [float(np.abs(solve(solver, data.velocity, NOISE, wan_sigmas(n, shift=shift)) - exact).max()) for n in STEPS]


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_observed_order(solver, order, shift):
    """Catches a step of the wrong sign, a velocity taken at the wrong end, and a second stage that is not averaged."""
    assert observed_order(errors_of(solver, DATA, shift), STEPS) == pytest.approx(order, abs=0.15)


def test_heun_beats_euler_at_equal_steps():
    assert errors_of(heun, DATA)[0] < errors_of(euler, DATA)[0] / 5


@pytest.mark.parametrize("solver", [euler, heun])
def test_every_noise_reaches_a_point_mass(solver):
    """Catches a grid that stops before 0 and a Heun step that asks for the velocity at 0."""
    center = np.array([2.0, -1.0])
    end = solve(solver, point_mass(center).velocity, NOISE, wan_sigmas(7))
    np.testing.assert_allclose(end, np.broadcast_to(center, end.shape), atol=1e-9)


def test_a_trajectory_holds_the_start_and_every_step():
    path = trajectory(euler, DATA.velocity, NOISE, wan_sigmas(5))
    assert path.shape == (6, 64, 2)
    np.testing.assert_array_equal(path[0], NOISE)
    np.testing.assert_array_equal(path[-1], solve(euler, DATA.velocity, NOISE, wan_sigmas(5)))


def test_order_refuses_what_cannot_be_measured():
    with pytest.raises(SettingError, match="two different"):
        observed_order([0.1], [10])
    with pytest.raises(SettingError, match="positive"):
        observed_order([0.1, 0.0], [10, 20])


SOURCE_POINT, TARGET_POINT = np.array([-1.5, 0.5]), np.array([2.0, 1.0])


@pytest.mark.parametrize("solver", [euler, heun])
def test_between_point_masses_the_edit_lands_exactly_on_the_target(solver):
    """Catches the step's sign, the velocities exchanged, an uncoupled target, a source velocity taken elsewhere."""
    source = np.broadcast_to(SOURCE_POINT, NOISE.shape)
    field = difference_field(point_mass(SOURCE_POINT).velocity, point_mass(TARGET_POINT).velocity, source, NOISE)
    end = solve(solver, field, source, wan_sigmas(9))
    np.testing.assert_allclose(end, np.broadcast_to(TARGET_POINT, end.shape), atol=1e-9)


def test_between_point_masses_the_edit_moves_on_a_straight_line():
    """Catches a flipped time: the edit must be at the same share of the way as the noise that is gone."""
    source = np.broadcast_to(SOURCE_POINT, NOISE.shape)
    field = difference_field(point_mass(SOURCE_POINT).velocity, point_mass(TARGET_POINT).velocity, source, NOISE)
    sigmas = wan_sigmas(6)
    path = trajectory(euler, field, source, sigmas)
    for points, sigma in zip(path, sigmas, strict=True):
        expected = SOURCE_POINT + (1 - sigma) * (TARGET_POINT - SOURCE_POINT)
        np.testing.assert_allclose(points, np.broadcast_to(expected, points.shape), atol=1e-9)


@pytest.mark.parametrize("sigma", [1.0, 0.7, 0.2])
def test_the_source_side_reads_its_own_path(sigma):
    """Catches a flipped time: on its own path a point mass's velocity is `noise - source` at every sigma."""
    source = np.broadcast_to(SOURCE_POINT, NOISE.shape)
    field = difference_field(point_mass(SOURCE_POINT).velocity, lambda x, _: 0 * x, source, NOISE)
    np.testing.assert_allclose(field(source, sigma), source - NOISE, atol=1e-12)


@pytest.mark.parametrize("name", sorted(SCENES))
def test_equal_fields_leave_the_source_where_it_is(name):
    """Catches a noise that the two sides do not share, and an edit displaced by something else than the source."""
    data = SCENES[name].source
    source = data.sample(len(NOISE), np.random.default_rng(4))
    field = difference_field(data.velocity, data.velocity, source, NOISE)
    np.testing.assert_allclose(solve(heun, field, source, wan_sigmas(12)), source, atol=1e-12)


@pytest.mark.parametrize("name", ["clusters", "rows"])
def test_an_edit_ends_near_the_target(name):
    """Catches a target field that never gets a say: almost every edited point lies in a target cluster."""
    scene = SCENES[name]
    source = scene.source.sample(len(NOISE), np.random.default_rng(5))
    end = solve(
        heun, difference_field(scene.source.velocity, scene.target.velocity, source, NOISE), source, wan_sigmas(60)
    )

    def share_near(points):
        distance = np.linalg.norm(points[:, None] - scene.target.means[None], axis=2).min(axis=1)
        return (distance < 3 * scene.target.spreads.max()).mean()

    assert share_near(end) > 0.9
    assert share_near(source) < 0.1
