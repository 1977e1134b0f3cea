"""How steady a look stays, as the benchmark measures it: the still part, and what lies beside what moves."""

import cv2
import numpy as np
import pytest
from agent_clips import picture

from benchmarks.steadiness import steadiness
from flowedit.errors import AgentError


def noisy(size=(240, 320), count=3, noise=2.0):
    """A photograph with camera noise, over which a square jumps from place to place."""
    rng, base = np.random.default_rng(0), picture(size=size).astype(float)
    frames = []
    for k in range(count):
        frame = base.copy()
        frame[100:140, 40 + 80 * k : 80 + 80 * k] = (230, 60, 40)
        frames.append(np.clip(np.rint(frame + rng.normal(0, noise, frame.shape)), 0, 255).astype(np.uint8))
    return frames


def test_steadiness_of_what_is_not_styled_is_one():
    frames = noisy()
    read = steadiness(frames, frames)
    assert read == pytest.approx((1, 1, 1))


def test_steadiness_tells_still_regions_from_those_beside_the_object():
    """Catches a halo around the object that is booked on the still part, and one that is lost in it."""
    frames, styled = noisy(), [frame.copy() for frame in noisy()]
    styled[0][92:98, 40:80] = 255
    read = steadiness(frames, styled)
    assert read.beside > 2
    assert (read.pixels, read.worst) == pytest.approx((1, 1))
    styled[0][10:16, 10:16] = 255
    read = steadiness(frames, styled)
    assert read.worst > 5
    assert read.worst > read.pixels > 1


def test_steadiness_sees_what_flickers_in_plain_regions_only():
    """Catches one mean over the picture, in which the plain quarter of it hides."""
    frames = noisy()
    level = np.stack([np.asarray(frame, float) for frame in frames]).mean(axis=0)
    plain = cv2.blur(np.abs(cv2.Laplacian(cv2.blur(level, (5, 5)), cv2.CV_64F)).mean(axis=2), (21, 21)) < 1.0
    rng = np.random.default_rng(1)
    styled = [np.clip(f + plain[..., None] * rng.normal(0, 6, f.shape), 0, 255).astype(np.uint8) for f in frames]
    read = steadiness(frames, styled)
    assert read.worst > 1.3 * read.pixels


def test_steadiness_needs_noise_and_something_still():
    frames = [picture(size=(240, 320))] * 3
    with pytest.raises(AgentError, match="3 keyframes show nothing still beside what moves; use a noisy, static"):
        steadiness(frames, frames)
