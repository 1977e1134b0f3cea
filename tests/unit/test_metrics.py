"""The figures of an edit, each on inputs whose answer is known without the code."""

import numpy as np
import pytest

from flowedit.errors import SettingError, VideoShapeError
from flowedit.metrics import bootstrap_ci, colour_drift, edge_agreement, keyframe_flicker, psnr, ssim, warp_error


def noise(count=9, height=24, width=32, seed=0):
    return np.random.default_rng(seed).integers(40, 200, (count, height, width, 3), dtype=np.uint8)


def smooth(count=9, height=32, width=40):
    """A picture of discs that pans one pixel a frame."""
    y, x = np.mgrid[:height, : width + count]
    wide = np.where(np.hypot(x % 20 - 10, y - 16) < 7, 200, 60)
    return np.stack([np.repeat(wide[:, i : i + width, None], 3, axis=2) for i in range(count)]).astype(np.uint8)


def test_psnr_of_a_known_error_is_its_formula_frame_by_frame():
    """A swapped sign, a missing square or a mean over the clip each miss these: 10 log10(255^2 / e^2)."""
    a = noise(3)
    b = a.copy()
    b[1] += 5
    b[2, ::2] += 10
    expected = [40.0, 20 * np.log10(255 / 5), 10 * np.log10(255**2 / 50)]
    assert psnr(a, b) == pytest.approx(expected)
    assert psnr(b, a) == pytest.approx(expected)
    assert psnr(a, a, cap=60.0) == pytest.approx([60.0] * 3)
    assert len(psnr(a[:0], a[:0])) == 0


def test_ssim_is_one_for_equal_frames_and_follows_wang_for_flat_ones():
    a = noise(2)
    assert ssim(a, a) == pytest.approx([1, 1])
    # Flat frames have no variance: what is left is (2 m n + c) / (m^2 + n^2 + c) with c = (0.01 * 255)^2.
    flat, other = np.full((1, 24, 32, 3), 100, np.uint8), np.full((1, 24, 32, 3), 140, np.uint8)
    c = (0.01 * 255) ** 2
    assert ssim(flat, other) == pytest.approx([(2 * 100 * 140 + c) / (100**2 + 140**2 + c)], abs=1e-6)
    assert ssim(a, noise(2, seed=1))[0] < 0.2


def test_flicker_is_one_for_the_truth_and_finds_a_flash_at_a_keyframe():
    truth = smooth(33)
    keys = [0, 16, 32]
    assert keyframe_flicker(truth, truth, keys) == pytest.approx(1)
    flashing = truth.copy()
    flashing[13:17] = np.clip(flashing[13:17].astype(int) + 30, 0, 255)  # slot 4, the group of keyframe 16
    assert keyframe_flicker(flashing, truth, keys) > 1.5
    elsewhere = truth.copy()
    elsewhere[22:26] = np.clip(elsewhere[22:26].astype(int) + 30, 0, 255)
    assert keyframe_flicker(elsewhere, truth, keys) < 1


def test_flicker_follows_its_formula():
    """Flat frames whose differences are the numbers: the edit spikes by 6.5 over 2.5, the truth by 2.5 over 2.5."""
    steps = np.full(17, 2)
    jumps = steps.copy()
    jumps[[5, 8, 9]] = 6  # keyframe 8: its slot is 5..8, so 5, 9 begin a slot and 8, 9 the keyframe and its end
    clips = [np.repeat(np.cumsum(s)[:, None, None, None], 3, axis=3).astype(np.uint8) for s in (jumps, steps)]
    assert keyframe_flicker(clips[0], clips[1], [8]) == pytest.approx(6.5 / 2.5)


def test_flicker_does_not_move_with_contrast_and_is_defined_for_still_clips():
    source = smooth(17)
    styled = (255 - source // 2).astype(np.uint8)
    assert keyframe_flicker(styled, source, [8]) == pytest.approx(1, abs=0.02)
    still = np.repeat(source[:1], 17, axis=0)
    assert keyframe_flicker(still, still, [0, 8]) == pytest.approx(1)
    assert np.isnan(keyframe_flicker(source[:1], source[:1], [0]))


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


def test_colour_drift_ignores_a_constant_shift_and_measures_a_ramp():
    source = noise(9)
    assert colour_drift(source + 30, source) == pytest.approx(0, abs=1e-9)
    ramp = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.uint8(2)
    assert colour_drift(source + ramp, source) == pytest.approx(np.std(2 * np.arange(9)))
    one = source.copy()
    one[..., 0] += ramp[..., 0]
    assert colour_drift(one, source) == pytest.approx(np.std(2 * np.arange(9)) / np.sqrt(3))


def test_edges_agree_whatever_the_colours_and_not_when_moved():
    source = smooth(3)
    assert edge_agreement(source, source) == pytest.approx(1)
    assert edge_agreement(255 - source // 2, source) > 0.99
    assert edge_agreement(np.roll(source, 6, axis=2), source) < 0.6
    flat = np.full_like(source, 90)
    assert edge_agreement(flat, source) == 0
    assert edge_agreement(flat, flat) == 1


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
    with pytest.raises(SettingError, match="finite"):
        bootstrap_ci(values, seed=0, level=level)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("figure", [psnr, ssim, colour_drift, edge_agreement, lambda a, b: keyframe_flicker(a, b, [0])])
def test_shapes_that_differ_are_refused(figure):
    with pytest.raises(VideoShapeError, match="compared"):
        figure(noise(3), noise(2))


@pytest.mark.usefixtures("unchecked")
def test_a_flow_of_another_shape_is_refused():
    flow, visible = pan(9, 32, 40, 1)
    with pytest.raises(VideoShapeError, match=r"F - 1"):
        warp_error(smooth(8), flow, visible)
