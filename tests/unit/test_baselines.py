"""The classical methods: exact where they should be, and honest."""

import sys
import tracemalloc

import numpy as np
import pytest

from flowedit.errors import KeyframeError
from flowedit.estimate.colour_map import colour_map
from flowedit.estimate.motion import Motion, full_places, sample
from flowedit.estimate.propagation import carry, propagation
from flowedit.metrics import psnr

METHODS = [colour_map, propagation]


def texture(height, width, seed=0):
    """A smooth random picture, in [0, 255]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = rng.uniform(-0.35, 0.35, (3, 8, 2))
    turns = rng.uniform(0, 6, (3, 8))
    channels = [np.sin(w[:, 0, None, None] * x + w[:, 1, None, None] * y + t[:, None, None]).sum(axis=0)
                for w, t in zip(waves, turns, strict=True)]  # fmt: skip
    return np.clip(127 + 30 * np.stack(channels, axis=-1), 0, 255)


def panned(count=17, height=64, width=64, step=2, seed=0):
    wide = texture(height, width + step * count, seed)
    return np.rint(np.stack([wide[:, step * i : step * i + width] for i in range(count)])).astype(np.uint8)


def matrix(frames):
    """A colour style that no single channel explains, inside [0, 255]."""
    m = np.array([[0.2, 0.5, 0.1], [0.6, 0.1, 0.2], [0.1, 0.2, 0.6]])
    return np.rint(frames @ m.T + 12).astype(np.uint8)


def keyed(styled, at):
    return {i: styled[i] for i in at}


@pytest.mark.parametrize("at", [(0,), (16,), (0, 5, 16)])
def test_a_colour_style_is_reproduced_exactly_from_any_keyframes(at):
    source = panned()
    made = colour_map(source, keyed(matrix(source), at))
    assert psnr(made, matrix(source), cap=99).min() > 50


def test_one_map_averages_keyframes_that_disagree():
    source = panned()
    style = matrix(source).astype(int)  # within 12 to 241
    keys = {0: (style[0] - 12).astype(np.uint8), 16: (style[16] + 12).astype(np.uint8)}
    made = colour_map(source, keys)
    # The map follows a little, as far as the two frames' colours differ.
    assert all(np.abs(np.mean(made[i] - style[i])) < 4 for i in (0, 4, 8, 16))


def propagate(source, keys):
    """Frames and confidence of all."""
    carried = dict(carry(source, [keys]))
    assert list(carried) == list(range(len(source)))
    return [np.stack([one[part] for (one,) in carried.values()]) for part in (0, 1)]


def test_chained_and_direct_flow_find_a_pan():
    source = panned(step=3)
    motion = Motion(source)
    direct, far = motion.direct(0, 4), dict(motion.walk(8, -1))[0]
    inner = (slice(8, -8), slice(32, -8))  # what stays in sight: the ground moves 24 pixels to the left
    moved = full_places(direct.there, (64, 64)) - full_places(0 * direct.there, (64, 64))
    assert np.median(np.abs(moved[inner] - [-12, 0])) < 0.1
    assert np.median(np.abs(far.there[inner] - [-24, 0])) < 0.1
    assert np.median(np.abs(far.back[8:-8, 8:-32] - [24, 0])) < 0.1
    assert np.median(np.abs(sample(source[4].astype(np.float32), direct.there) - source[0])[inner]) < 1


@pytest.mark.parametrize("at", [(0,), (16,), (7,), (0, 16), (3, 4, 11)])
def test_propagation_carries_a_style_that_no_colour_map_knows(at):
    """The style is painted on the scene and moves with it; frames anywhere beside the keyframes must follow."""
    source = panned(step=1)
    paint = panned(step=1, seed=5)
    made, confidence = propagate(source, keyed(paint, at))
    assert all(np.array_equal(made[k], paint[k]) for k in at)
    assert all((confidence[k] == 1).all() for k in at)
    assert psnr(made[:, 2:-2, 18:-18], paint[:, 2:-2, 18:-18]).min() > 33
    assert np.array_equal(propagation(source, keyed(paint, at)), made)


@pytest.mark.parametrize("at", [(0, 3, 16), (14,)])
@pytest.mark.parametrize(
    ("part", "size"), [("_BLOCK", 1), ("_BLOCK", 4), ("_BLOCK", 5), ("_BLOCK", 16), ("_STRIP", 448)]
)
def test_blocks_of_frames_and_strips_of_rows_change_no_bit(monkeypatch, part, size, at):
    """Catches a block walked from the wrong mark, a frame or row of the last left out, steps taken of another pair."""
    source = panned(height=50)
    keys = keyed(matrix(source), at)
    whole = propagate(source, keys)
    monkeypatch.setattr(sys.modules[carry.__module__], part, size)
    assert all(np.array_equal(*pair) for pair in zip(propagate(source, keys), whole, strict=True))


def test_near_keyframes_need_each_step_once(monkeypatch):  # catches: motion of short stretches measured twice
    steps, measured = [], Motion._flow

    def flow(self, how, i, j):
        if how is self._fine:
            steps.append((i, j))
        return measured(self, how, i, j)

    monkeypatch.setattr(Motion, "_flow", flow)
    source = panned()
    propagation(source, keyed(matrix(source), (0, 16)))
    assert sorted(steps) == sorted([(i, i + 1) for i in range(16)] + [(i + 1, i) for i in range(16)])


def test_memory_does_not_grow_with_what_lies_between_two_keyframes():
    """From 65 to 161 frames by a third of their bytes at most: a mark of each block, and no flow of every frame."""
    peaks = []
    for count in (65, 161):
        source = panned(count, step=1)
        keys = keyed(source, (0, count - 1))
        tracemalloc.start()
        for _ in carry(source, [keys]):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < (161 - 65) * source[0].nbytes / 3


def test_confidence_is_low_where_the_keyframe_shows_nothing():
    """One keyframe, and a pan that brings in new ground at the right: it is no more than guessed there."""
    source = panned(step=2)
    _, confidence = propagate(source, keyed(matrix(source), (0,)))
    assert confidence.dtype == np.float32
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    new, known = confidence[12, 4:-4, -20:], confidence[12, 4:-4, 4:36]
    assert known.mean() > 0.7
    assert new.mean() < 0.3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("keyframes", "rule"),
    [
        ({}, "at least 1"),
        ({17: np.zeros((64, 64, 3), np.uint8)}, "0 to 16"),
        ({-1: np.zeros((64, 64, 3), np.uint8)}, "0 to 16"),
        ({3: np.zeros((32, 64, 3), np.uint8)}, "resize"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_keyframes_that_do_not_fit_are_refused(method, keyframes, rule):
    with pytest.raises(KeyframeError, match=rule):
        method(panned(), keyframes)


@pytest.mark.parametrize("method", METHODS)
def test_a_clip_of_one_frame_and_large_frames_work(method):
    one = panned(count=1)
    assert method(one, {0: matrix(one)[0]}).shape == one.shape
    large = panned(count=3, height=330, width=600)
    made = method(large, {0: matrix(large)[0]})
    assert psnr(made[:, :, 8:-8], matrix(large)[:, :, 8:-8]).min() > 30
