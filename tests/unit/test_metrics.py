"""The figures of an edit, each on inputs whose answer is known without the code."""

import numpy as np
import pytest

from flowedit.errors import VideoShapeError
from flowedit.metrics import colour_drift, edge_agreement, keyframe_flicker, psnr


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


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("figure", [psnr, colour_drift, edge_agreement, lambda a, b: keyframe_flicker(a, b, [0])])
def test_shapes_that_differ_are_refused(figure):
    with pytest.raises(VideoShapeError, match="compared"):
        figure(noise(3), noise(2))
