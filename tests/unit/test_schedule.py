"""Wan's grid is the vendor's, bit for bit; what cannot be a grid is refused."""

import numpy as np
import pytest
import torch
from diffsynth.diffusion import FlowMatchScheduler

from flowedit.errors import SettingError
from flowedit.schedule import skip_steps, wan_sigmas


def vendor_sigmas(steps, strength, shift):
    scheduler = FlowMatchScheduler("Wan")
    scheduler.set_timesteps(steps, denoising_strength=strength, shift=shift)
    return scheduler


def cases():
    """Every usual number of steps with the usual shifts, and 300 random settings."""
    yield from ((steps, strength, shift) for steps in range(1, 129) for strength in (1.0, 0.8) for shift in (3.0, 5.0))
    rng = np.random.default_rng(0)
    for _ in range(300):
        yield int(rng.integers(1, 1001)), float(rng.uniform(0.05, 1)), float(rng.uniform(0.5, 16))


def test_the_grid_is_the_vendors_to_the_last_bit():  # catches: a grid in float64, steps instead of steps + 1 points
    for steps, strength, shift in cases():
        theirs = vendor_sigmas(steps, strength, shift)
        ours = wan_sigmas(steps, strength=strength, shift=shift)
        assert ours == (*theirs.sigmas.tolist(), 0.0), (steps, strength, shift)
        # The model is told the time in thousandths: that has to survive the way through Python floats too.
        times = torch.tensor([sigma * 1000 for sigma in ours[:-1]], dtype=torch.float32)
        assert torch.equal(times, theirs.timesteps), (steps, strength, shift)


@pytest.mark.parametrize(
    ("steps", "strength", "skipped"), [(50, 0.8, 10), (30, 1.0, 0), (10, 0.01, 9), (1, 0.2, 0), (4, 0.5, 2)]
)
def test_strength_skips_steps_but_leaves_one(steps, strength, skipped):  # catches: an empty grid at a small strength
    assert skip_steps(steps, strength) == skipped


@pytest.mark.parametrize(
    ("steps", "strength", "shift", "words"),
    [
        (0, 1.0, 5.0, "steps is 0; .*at least 1. Use 20"),
        (-3, 1.0, 5.0, "steps is -3"),
        (2.5, 1.0, 5.0, "steps is 2.5; .*whole number"),
        (10, 0.0, 5.0, r"strength is 0.0; .*\(0, 1\]. Use 0.8"),
        (10, 1.1, 5.0, "strength is 1.1"),
        (10, float("nan"), 5.0, "strength is nan"),
        (10, 1.0, 0.0, "shift is 0.0; .*positive and finite. Use 5"),
        (10, 1.0, float("inf"), "shift is inf"),
        (50, 1.0, 1e9, "50 steps .*shift 1000000000.0 .*length 0.*Use a shift of 1 to 16"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_impossible_grids_are_refused(steps, strength, shift, words):
    with pytest.raises(SettingError, match=words):
        wan_sigmas(steps, strength=strength, shift=shift)
