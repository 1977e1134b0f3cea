"""The benchmark's own figures, each on inputs whose answer is known without the code."""

import numpy as np
import pytest
from test_metrics import noise, smooth

from benchmarks.measures import bootstrap_ci, ssim, warp_error


def test_ssim_is_one_for_equal_frames_and_follows_wang_for_flat_ones():
    a = noise(2)
    assert ssim(a, a) == pytest.approx([1, 1])
    # Flat frames have no variance: what is left is (2 m n + c) / (m^2 + n^2 + c) with c = (0.01 * 255)^2.
    flat, other = np.full((1, 24, 32, 3), 100, np.uint8), np.full((1, 24, 32, 3), 140, np.uint8)
    c = (0.01 * 255) ** 2
    assert ssim(flat, other) == pytest.approx([(2 * 100 * 140 + c) / (100**2 + 140**2 + c)], abs=1e-6)
    assert ssim(a, noise(2, seed=1))[0] < 0.2


def pan(count, height, width, shift):
    """Positions of a pan: pixel x of frame i lies at x - shift in frame i + 1."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    positions = np.stack([x - shift, y], axis=-1)
    return np.repeat(positions[None], count - 1, axis=0), np.repeat((x - shift >= 0)[None], count - 1, axis=0)


def test_warp_error_is_zero_under_the_true_flow_and_counts_a_flash():
    frames = smooth(9)
    flow, visible = pan(9, 32, 40, 1)
    assert warp_error(frames, flow, visible) == pytest.approx(0, abs=1e-4)
    wrong, seen = pan(9, 32, 40, -1)
    assert warp_error(frames, wrong, seen) > 5
    flash = frames.copy()
    flash[4] += 16  # two of eight steps see it, by 16 levels
    assert warp_error(flash, flow, visible) == pytest.approx(16 * 2 / 8, abs=1e-3)
    assert np.isnan(warp_error(frames, flow, np.zeros_like(visible)))


def test_warp_error_leaves_out_what_cannot_be_seen():
    frames = smooth(9)
    flow, visible = pan(9, 32, 40, 1)
    frames[1:, :, 39] = 0
    hidden = visible.copy()
    assert warp_error(frames, flow, hidden) > 0
    # Every point that is read or compared in the spoilt column counts as hidden.
    hidden[:, :, 39] = False
    assert warp_error(frames, flow, hidden) == pytest.approx(0, abs=1e-4)


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_ci(rng.normal(3.0, 2.0, 40), seed=seed, resamples=1000)
        hits += low <= 3.0 <= high
    assert 0.88 <= hits / 200 <= 0.99
    assert bootstrap_ci([1.0, 2.0, 4.0], seed=1) == bootstrap_ci([1.0, 2.0, 4.0], seed=1)
    assert bootstrap_ci([7.0], seed=0) == (7.0, 7.0)


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0, np.nan], 0.95), ([1.0, 2.0], 1.0)])
def test_bootstrap_refuses_what_has_no_interval(values, level):
    with pytest.raises(ValueError, match="finite"):
        bootstrap_ci(values, seed=0, level=level)


@pytest.mark.usefixtures("unchecked")
def test_a_flow_of_another_shape_is_refused():
    flow, visible = pan(9, 32, 40, 1)
    with pytest.raises(ValueError, match=r"F - 1"):
        warp_error(smooth(8), flow, visible)
