"""The closed-form fields: each test names the mistake in the algebra that it catches."""

import numpy as np
import pytest

from flowedit.errors import SettingError
from flowedit.flow import interpolate, velocity
from flowedit.toy import Mixture, gaussian, point_mass
from flowedit.toy.mixture import gaussian_flow

UNEVEN = Mixture(np.array([0.2, 0.5, 0.3]), np.array([[-1.0, 0.5], [1.5, 0.0], [0.0, -2.0]]), np.array([0.3, 0.0, 0.7]))


def test_a_point_mass_gives_back_the_velocity_of_the_path():
    """Catches data and noise exchanged, and time run the other way."""
    rng = np.random.default_rng(0)
    center, noise = np.array([1.5, -0.7]), rng.standard_normal((5, 2))
    for sigma in (1.0, 0.6, 0.05):
        x = interpolate(center, noise, sigma)
        np.testing.assert_allclose(point_mass(center).velocity(x, sigma), velocity(center, noise), atol=1e-12)
        np.testing.assert_allclose(point_mass(center).velocity(x, sigma), (x - center) / sigma, atol=1e-12)


def test_the_marginal_velocity_is_the_mean_of_noise_minus_data():
    """Catches posterior weights that forget the mixture's weights, the variances or their normalising constant."""
    rng = np.random.default_rng(1)
    count, sigma = 400_000, 0.55
    data = UNEVEN.sample(count, rng)
    noise = rng.standard_normal((count, 2))
    x = interpolate(data, noise, sigma)
    exact = UNEVEN.velocity(x, sigma)
    error = velocity(data, noise) - exact
    tests = np.column_stack([np.ones(count), x[:, 0] > 0, x[:, 1] > 0, x[:, 0] > 1, np.tanh(x[:, 0] * x[:, 1])])
    for column in tests.T:
        product = error * column[:, None]
        standard_error = product.std(axis=0) / np.sqrt(count)
        assert np.all(np.abs(product.mean(axis=0)) < 5 * standard_error)


def test_the_density_obeys_the_continuity_equation():
    """Catches a velocity and a density that belong to different distributions, or to opposite times."""
    x, sigma, h = np.array([[0.3, -0.4], [1.0, 0.2]]), 0.5, 1e-4
    change = (UNEVEN.density(x, sigma + h) - UNEVEN.density(x, sigma - h)) / (2 * h)

    def flux(at, axis):
        return UNEVEN.density(at, sigma) * UNEVEN.velocity(at, sigma)[:, axis]

    divergence = sum(
        (flux(x + h * np.eye(2)[axis], axis) - flux(x - h * np.eye(2)[axis], axis)) / (2 * h) for axis in (0, 1)
    )
    assert np.abs(change).max() > 0.01
    np.testing.assert_allclose(change, -divergence, atol=1e-6)


def test_the_density_integrates_to_one():
    """Catches a missing normalising constant."""
    axis = np.linspace(-8, 8, 401)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert UNEVEN.density(x, 0.7).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)


def test_velocity_stays_finite_far_away():
    """Catches a posterior computed without its largest exponent taken out."""
    assert np.isfinite(UNEVEN.velocity(np.array([[1e4, -1e4]]), 0.01)).all()


def test_one_dimension_works():
    """Catches a dimension written down as 2."""
    two = Mixture.even([(-1.0,), (1.0,)], 0.1)
    assert two.velocity(np.array([[0.0]]), 0.5) == pytest.approx(0, abs=1e-12)
    axis = np.linspace(-8, 8, 4001)[:, None]
    assert two.density(axis, 0.3).sum() * (axis[1, 0] - axis[0, 0]) == pytest.approx(1, abs=1e-9)


def test_gaussian_flow_starts_at_noise_and_ends_on_the_data():
    noise = np.array([[1.0, -2.0]])
    np.testing.assert_allclose(gaussian_flow(gaussian([3.0, 1.0], 0.5), noise, 1.0), noise)
    np.testing.assert_allclose(gaussian_flow(gaussian([3.0, 1.0], 0.5), noise, 0.0), [[3.5, 0.0]])


def test_samples_follow_the_weights_and_spreads():
    data = UNEVEN.sample(20_000, np.random.default_rng(2))
    assert (data == UNEVEN.means[1]).all(axis=1).mean() == pytest.approx(0.5, abs=0.02)
    assert data.mean(axis=0) == pytest.approx(UNEVEN.weights @ UNEVEN.means, abs=0.03)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Mixture(np.ones(2), np.zeros((2, 2)), np.zeros(2)), "sum to 1"),
        (lambda: Mixture(np.ones(1), np.zeros((2, 2)), np.zeros(1)), "do not belong together"),
        (lambda: Mixture(np.ones(1), np.zeros((1, 2)), -np.ones(1)), "none may be negative"),
        (lambda: point_mass([0.0]).velocity(np.ones((1, 1)), 0.0), "take sigma > 0"),
        (lambda: gaussian_flow(UNEVEN, np.zeros((1, 2)), 0.5), "3 components"),
    ],
)
def test_refusals_name_the_cure(make, says):
    with pytest.raises(SettingError, match=says):
        make()
