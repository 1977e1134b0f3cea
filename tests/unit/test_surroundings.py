"""The map from a pixel's surroundings: it draws lines where no keyframe shows them, and knows when to keep quiet."""

import numpy as np
import pytest

from flowedit.errors import KeyframeError
from flowedit.estimate import estimate, estimates
from flowedit.estimate.local_regression import Learned, Surroundings
from flowedit.estimate.propagation import propagate, propagate_sets

SIZE = 96
COLOURS = ((220, 60, 40), (30, 160, 90), (240, 220, 90))


def picture(seed):
    """Discs of three colours on a smooth ground, elsewhere with each seed, and the lines around them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    frame = np.stack([90 + 40 * np.sin(x / 30 + k) for k in range(3)], axis=2)
    lines = np.zeros((SIZE, SIZE), bool)
    for colour in COLOURS * 3:
        centre, radius = rng.uniform(8, SIZE - 8, 2), rng.uniform(6, 12)
        away = np.hypot(x - centre[0], y - centre[1])
        frame[away < radius] = colour
        lines = (lines & (away >= radius)) | (abs(away - radius) < 1.5)
    return frame.astype(np.uint8), lines


def added(lines):
    return np.repeat(np.where(lines, -90.0, 0.0)[..., None], 3, axis=2).astype(np.float32)


def explained(known, style, seed):
    """Share of a style's power that the map tells on a picture of its own."""
    frame, lines = picture(seed)
    told, twice = known.tell(frame, [style, Learned(2 * style.weights, style.belief)])
    assert np.allclose(twice, 2 * told, atol=1e-3)  # catches: styles told together that get mixed up
    return 1 - np.square(told - added(lines)).mean() / np.square(added(lines)).mean()


def test_lines_are_drawn_on_a_picture_that_no_keyframe_shows():  # catches: a map that sees one pixel only
    shown = {0: picture(1), 8: picture(2), 16: picture(3)}
    known = Surroundings({i: frame for i, (frame, _) in shown.items()})
    style = known.learn({i: added(lines) for i, (_, lines) in shown.items()})
    assert style.belief > 0.8
    assert explained(known, style, 9) > 0.5


def test_what_one_keyframe_does_not_tell_of_another_is_not_believed():
    """Catches a fit taken at its word: each keyframe's own noise is learned, and says nothing of the others."""
    known = Surroundings({i: picture(i)[0] for i in (1, 2, 3)})
    rng = np.random.default_rng(0)
    style = known.learn({i: rng.normal(0, 30, (SIZE, SIZE, 3)).astype(np.float32) for i in (1, 2, 3)})
    assert style.belief < 0.3
    against = {1: 40.0, 2: -40.0, 3: 0.0}
    style = known.learn({i: np.full((SIZE, SIZE, 3), level, np.float32) for i, level in against.items()})
    assert style.belief == 0
    assert not style.weights.any()


def test_a_single_keyframe_is_judged_by_its_halves():
    frame, lines = picture(1)
    known = Surroundings({4: frame})
    assert known.learn({4: added(lines)}).belief > 0.3
    noise = np.random.default_rng(1).normal(0, 30, (SIZE, SIZE, 3)).astype(np.float32)
    assert known.learn({4: noise}).belief < 0.3


def clip():
    """A picture that moves sideways, and two styles of it."""
    wide, lines = (np.tile(part, (1, 2) + (1,) * (part.ndim - 2)) for part in picture(5))
    frames = np.stack([wide[:, 2 * i : 2 * i + SIZE] for i in range(9)])
    drawn = np.stack([lines[:, 2 * i : 2 * i + SIZE] for i in range(9)])
    inked = np.where(drawn[..., None], 20, frames).astype(np.uint8)
    return frames, [{i: inked[i] for i in (0, 8)}, {i: (255 - inked[i]) for i in (0, 8)}]


def test_sets_that_share_motion_and_surroundings_are_what_each_is_alone():
    """Catches one set's pictures used for another, and a base changed by the set before."""
    frames, sets = clip()
    for made, keys in zip(estimates(frames, sets), sets, strict=True):
        alone = estimate(frames, keys)
        assert (made.frames == alone.frames).all()
        assert (made.confidence == alone.confidence).all()
        assert made.tint == alone.tint
    for made, keys in zip(propagate_sets(frames, sets), sets, strict=True):
        assert (made.frames == propagate(frames, keys).frames).all()


def test_sets_of_other_indices_are_refused():
    frames, sets = clip()
    with pytest.raises(KeyframeError, match="share their indices"):
        propagate_sets(frames, [sets[0], {0: frames[0]}])
