"""What the looks' materials are made of: noise, clouds, paper and the like, fixed to places of the picture by a seed.

A texture depends on the picture's size alone, so all keyframes of a clip share it: it is made once and kept, read-only.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import cv2
import numpy as np

from flowedit.agent.stylers import canvas
from flowedit.agent.stylers.canvas import Plane

Make = TypeVar("Make", bound=Callable[..., Any])

_MOST_KEPT = 12
"""Those of one look fit: 96 MB at 1080 lines, the most that a look is painted at."""


def _kept(make: Make) -> Make:
    """Make a texture once for the same picture size and arguments; the oldest are let go first."""

    @lru_cache(_MOST_KEPT)
    def made(shape: tuple[int, ...], *args: float) -> np.ndarray:
        plane = make(shape, *args)
        plane.flags.writeable = False
        return plane

    return wraps(make)(lambda shape, *args: made(shape[:2], *args))  # pyright: ignore[reportReturnType]


def _noise(shape: tuple[int, ...], size: float, seed: int) -> Plane:
    """Smooth noise in about [-1, 1] with features of `size` pixels, fixed by the seed."""
    height, width = shape[:2]
    rows, columns = (max(2, int(np.ceil(side / size)) + 1) for side in (height, width))
    coarse = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 1.6, -1.5, 1.5)


def _clouds(shape: tuple[int, ...], size: float, seed: int, octaves: int = 4) -> Plane:
    """Noise of several sizes on top of each other, coarse to fine, in about [-1, 1]."""
    total = np.zeros(shape[:2], np.float32)
    for k in range(octaves):
        total += _noise(shape, max(1.0, size / 2**k), seed + 101 * k) * np.float32(0.55**k)
    return np.clip(total / 1.4, -1, 1).astype(np.float32)


noise, clouds = _kept(_noise), _kept(_clouds)


@_kept
def paper(shape: tuple[int, ...], scale: float, seed: int) -> Plane:
    """The tooth of a sheet of paper in about [-1, 1]: fine grain lit from the upper left."""
    height = _clouds(shape, max(2.0, 7 * scale), seed, 3)
    relief = canvas.blur(height - canvas.displace(height, 1.0, 1.0), 0.6)
    return np.clip(relief / max(float(relief.std()) * 2.2, 1e-6), -1, 1).astype(np.float32)


@_kept
def streaks(shape: tuple[int, ...], size: float, length: float, angle: float, seed: int) -> Plane:
    """Noise smeared to parallel streaks `size` pixels wide, `length` to each side, `angle` from the x axis down."""
    flow = np.full(shape[:2], np.cos(angle), np.float32), np.full(shape[:2], np.sin(angle), np.float32)
    return canvas.along(_noise(shape, size, seed), flow, length, steps=8)


@_kept
def vignette(shape: tuple[int, ...], strength: float) -> Plane:
    """1 at the centre, falling by `strength` to the corners."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return (1 - strength * canvas.smoothstep(0.5, 2.0, x * x + y * y)).astype(np.float32)
