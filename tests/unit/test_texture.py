"""Texture: kept where it is on the screen, carried where it moves, and kept apart where it was painted anew."""

import cv2
import numpy as np
import pytest

from flowedit.estimate import estimate
from flowedit.estimate.propagation import carry
from flowedit.estimate.texture import painted_anew, screen_layer
from flowedit.metrics import psnr

KEYS, COUNT, SIZE = (0, 8, 16), 17, (64, 96)


def smooth(seed, size):
    """A random picture of patches of 8 pixels, in [0, 255]."""
    small = np.random.default_rng(seed).uniform(40, 215, (size[0] // 8, size[1] // 8, 3)).astype(np.float32)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def grain(seed, strength=20.0):
    return np.random.default_rng(seed).normal(0, strength, (*SIZE, 1)) * np.ones(3)


def levels(frames):
    return np.rint(frames).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def source():
    """A pan by two pixels a frame."""
    wide = smooth(0, (SIZE[0], SIZE[1] + 32))
    return levels(np.stack([wide[:, 2 * i : 2 * i + SIZE[1]] for i in range(COUNT)]))


@pytest.fixture(scope="module")
def moving():
    """Texture that moves with the pan."""
    drawn = np.random.default_rng(1).normal(0, 20, (SIZE[0], SIZE[1] + 32, 1)) * np.ones(3)
    wide = 5 * cv2.GaussianBlur(drawn, (0, 0), 1.5)
    return np.stack([wide[:, 2 * i : 2 * i + SIZE[1]] for i in range(COUNT)])


def details(frames):
    return {i: frames[i].astype(np.float32) for i in KEYS}


def test_paper_stays_where_it_is_while_the_clip_moves(source):
    """Catches grain that is dragged along: two keyframes' grains, averaged between them, are soft and doubled."""
    truth = levels(0.8 * source + 25 + grain(3))
    made = estimate(source, {i: truth[i] for i in KEYS}).frames
    assert psnr(made, truth).min() > 33
    plain = np.stack([one.frame for _, (one,) in carry(source, [{i: truth[i] for i in KEYS}])])
    assert psnr(plain, truth)[[4, 12]].max() < 25, "the case is too easy"


def test_what_keyframes_share_on_the_screen_is_found_as_far_as_they_share_it(source, moving):
    """Catches a layer of what moves, of what stands still because nothing moves, and one that is not shrunk."""
    shared = screen_layer(source, KEYS, lambda i: (grain(3) + grain(10 + i)).astype(np.float32))
    assert shared is not None
    assert np.corrcoef(shared.ravel(), grain(3).ravel())[0, 1] > 0.8
    assert 10 < shared.std() < 20  # of 20, and 23 in the mean
    assert screen_layer(source, KEYS, details(moving).__getitem__) is None
    still = np.repeat(source[:1], COUNT, axis=0)
    assert screen_layer(still, KEYS, lambda _: grain(3).astype(np.float32)) is None
    assert screen_layer(source, (0,), lambda _: grain(3).astype(np.float32)) is None, "one keyframe cannot tell"


def test_strokes_of_each_keyframe_are_told_from_those_that_move_along(source, moving):
    anew = {i: grain(10 + i).astype(np.float32) for i in KEYS}
    along = {i: levels(source[i] + moving[i]) for i in KEYS}

    def found(left, pictures):
        power = np.mean([np.square(detail).mean() for detail in left.values()])
        return painted_anew(source, left.__getitem__, pictures, power)

    assert found(anew, {i: levels(source[i] + anew[i]) for i in KEYS}) > 0.9
    assert found(details(moving), along) < 0.3
    assert found({i: detail / 8 for i, detail in anew.items()}, along) == 0, "hardly seen"
    assert found({0: anew[0]}, {0: along[0]}) == 0


def test_strokes_painted_anew_are_not_averaged(source):
    """Catches soft frames between keyframes, and all places that change at once: a jump instead of a passage."""
    keys = {i: levels(source[i] + grain(10 + i)) for i in KEYS}
    mixed, apart = (
        {i: one.frame.astype(float) - source[i] for i, (one,) in carry(source, [keys], kept)} for kept in (0.0, 1.0)
    )
    assert apart[4].std() > mixed[4].std() + 1
    steps = [np.abs(apart[i] - apart[i - 1]).mean() for i in range(1, COUNT)]
    assert max(steps) < 3 * np.median(steps)
