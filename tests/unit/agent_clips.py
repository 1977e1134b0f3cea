"""Clips for the agent's tests, made from pictures that ship with scikit-image."""

from fractions import Fraction

import cv2
import numpy as np
from skimage import data

from flowedit.agent.sample import frames_source
from flowedit.media.clip import write_video


def picture(name="astronaut", size=(96, 160)):
    image = getattr(data, name)()[..., :3]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def static_clip(num_frames=17, size=(96, 160), seed=0):
    """A camera that stands still: sensor noise, light that breathes, and a ball that moves through."""
    rng = np.random.default_rng(seed)
    base = picture(size=size).astype(np.float64)
    frames = []
    for k in range(num_frames):
        frame = base * (1 + 0.02 * np.sin(k / 3))
        centre = (int(size[1] * (0.15 + 0.7 * k / max(num_frames - 1, 1))), int(size[0] * 0.7))
        frame = cv2.circle(frame, centre, max(3, size[0] // 10), (230, 60, 40), -1, cv2.LINE_AA)
        frames.append(np.clip(frame + rng.normal(0, 1.5, frame.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


def cut_clip(size=(96, 160)):
    """Three shots, with cuts at frames 10 and 22 of 33."""
    names = ("astronaut", "coffee", "chelsea")
    ends = (10, 12, 11)
    shots = [np.roll(picture(name, size), k, axis=1) for name, end in zip(names, ends, strict=True) for k in range(end)]
    return np.stack(shots)


def static_source(num_frames=17, fps=8.0, **options):
    return frames_source(static_clip(num_frames, **options), fps=fps, name="static")


def write_clip(path, frames, fps=8):
    write_video(path, frames, Fraction(fps))
    return path
