"""The convention: each test names a sign, an order or an end that could be swapped."""

import numpy as np
import pytest
import torch

from flowedit import flow


@pytest.fixture(params=["numpy", "torch"])
def points(request):
    data, noise = np.random.default_rng(0).standard_normal((2, 3, 4))
    return (data, noise) if request.param == "numpy" else (torch.from_numpy(data), torch.from_numpy(noise))


def test_sigma_0_is_data_and_sigma_1_is_noise(points):  # catches: the two ends swapped
    data, noise = points
    assert (flow.interpolate(data, noise, 0.0) == data).all()
    assert (flow.interpolate(data, noise, 1.0) == noise).all()


@pytest.mark.parametrize("sigma", [0.05, 0.5, 0.95])
def test_the_velocity_is_the_slope_of_the_path(points, sigma):  # catches: data - noise
    data, noise = points
    rise = flow.interpolate(data, noise, sigma + 1e-3) - flow.interpolate(data, noise, sigma)
    assert abs(rise / 1e-3 - flow.velocity(data, noise)).max() < 1e-9


def test_one_step_to_0_lands_on_the_data(points):  # catches: dt of the wrong sign, sigma_next for sigma
    data, noise = points
    x, v = flow.interpolate(data, noise, 0.7), flow.velocity(data, noise)
    assert abs(flow.euler_step(x, v, 0.7, 0.0) - data).max() < 1e-12
    assert abs(flow.predict_data(x, v, 0.7) - data).max() < 1e-12
    halfway = flow.interpolate(data, noise, 0.4)  # catches: a step that always goes to 0
    assert abs(flow.euler_step(x, v, 0.7, 0.4) - halfway).max() < 1e-12


def test_guidance_1_is_the_prompt_and_0_is_the_negative(points):  # catches: positive and negative swapped
    positive, negative = points
    assert abs(flow.guide(positive, negative, 1.0) - positive).max() < 1e-12
    assert (flow.guide(positive, negative, 0.0) == negative).all()
    assert abs(flow.guide(positive, negative, 5.0) - (5 * positive - 4 * negative)).max() < 1e-12
