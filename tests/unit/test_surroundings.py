"""The map from a pixel's surroundings: it draws lines where no keyframe shows them, and knows when to keep quiet."""

import cv2
import numpy as np

from flowedit.estimate.local_regression import LocalRegression

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


def explained(style, seed):
    """Share of a style's power that the map tells on a picture of its own."""
    frame, lines = picture(seed)
    return 1 - np.square(told(style, frame) - added(lines)).mean() / np.square(added(lines)).mean()


def learned(seeds, style):
    """From pictures, of what a style adds to each: a function of seed and lines."""
    shown = {i: picture(i) for i in seeds}
    return LocalRegression({i: frame for i, (frame, _) in shown.items()}, lambda i: style(i, shown[i][1]))


def told(style, frame):
    """What a map tells of a picture, at its own size."""
    return cv2.resize(style.told(frame), frame.shape[1::-1])


def noise(seed, lines):
    return np.random.default_rng(seed).normal(0, 30, (*lines.shape, 3)).astype(np.float32)


def test_lines_are_drawn_on_a_picture_that_no_keyframe_shows():  # catches: a map that sees one pixel only
    style = learned((1, 2, 3), lambda _, lines: added(lines))
    assert style.belief > 0.8
    assert explained(style, 9) > 0.5


def test_what_one_keyframe_does_not_tell_of_another_is_not_believed():
    """Catches a fit taken at its word: each keyframe's own noise is learned, and says nothing of the others."""
    assert learned((1, 2, 3), noise).belief < 0.3
    against = {1: 40.0, 2: -40.0, 3: 0.0}
    style = learned((1, 2, 3), lambda i, lines: np.full((*lines.shape, 3), against[i], np.float32))
    assert style.belief == 0
    assert not style.told(picture(1)[0]).any()


def test_a_single_keyframe_is_judged_by_its_halves():
    assert learned((1,), lambda _, lines: added(lines)).belief > 0.3
    assert learned((1,), noise).belief < 0.3


def test_large_frames_are_told_small():  # catches: features of pixels in place of the picture's own scale
    style = learned((1, 2, 3), lambda _, lines: added(lines))
    frame, lines = (np.kron(part, np.ones((8, 8, *[1] * (part.ndim - 2)), part.dtype)) for part in picture(9))
    assert style.told(frame).shape[0] < len(frame)
    drawn = told(style, frame)
    assert drawn[lines].mean() < drawn[~lines].mean() - 20
