"""The benchmark's own figures, each on inputs whose answer is known without the code."""

import cv2
import numpy as np
import pytest
from test_metrics import noise, smooth

from benchmarks.measures import sharpness, ssim, temporal_error


def test_ssim_is_one_for_equal_frames_and_follows_wang_for_flat_ones():
    a = noise(2)
    assert ssim(a, a) == pytest.approx([1, 1])
    # Flat frames have no variance: what is left is (2 m n + c) / (m^2 + n^2 + c) with c = (0.01 * 255)^2.
    flat, other = np.full((1, 24, 32, 3), 10, np.uint8), np.full((1, 24, 32, 3), 14, np.uint8)
    c = (0.01 * 255) ** 2
    assert ssim(flat, other) == pytest.approx([(2 * 10 * 14 + c) / (10**2 + 14**2 + c)], abs=1e-4)
    assert ssim(a, noise(2, seed=1))[0] < 0.2


def test_sharpness_falls_with_blur_and_a_flash_is_an_error_over_time():
    frames = smooth(9)
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in frames])
    assert sharpness(soft) < 0.9 * sharpness(frames)
    assert temporal_error(frames, frames, range(9)) == 0
    flash = frames.copy()
    flash[4] += 16  # two of eight steps see it, by 16 levels
    assert temporal_error(flash, frames, range(9)) == pytest.approx(16 * np.sqrt(2 / 8), abs=1e-3)
