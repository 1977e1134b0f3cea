"""What the looks' materials are made of: noise, clouds, paper and the like, fixed to places of the picture by a seed.

A texture depends on the picture's size alone, so all keyframes of a clip share it: it is made once and kept.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import cv2
import numpy as np
from jaxtyping import Float32

from flowedit.agent.stylers import canvas

Plane = Float32[np.ndarray, "H W"]
Arguments = ParamSpec("Arguments")

_MOST_BYTES = 96 * 2**20
"""What all kept textures together may take: those of one look at 1080 lines fit."""
_kept: "OrderedDict[tuple, Plane]" = OrderedDict()
_lock = threading.RLock()


def kept(
    make: Callable[Concatenate[tuple[int, ...], Arguments], Plane],
) -> Callable[Concatenate[tuple[int, ...], Arguments], Plane]:
    """Make a texture once for the same arguments; what comes back is read-only, and the oldest are let go first."""

    @wraps(make)
    def found(shape: tuple[int, ...], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Plane:
        name = (make.__module__, make.__qualname__, shape[:2], args, tuple(sorted(kwargs.items())))
        with _lock:
            if name not in _kept:
                plane = make(shape, *args, **kwargs)
                plane.flags.writeable = False
                _kept[name] = plane
                while sum(plane.nbytes for plane in _kept.values()) > _MOST_BYTES and len(_kept) > 1:
                    _kept.popitem(last=False)
            _kept.move_to_end(name)
            return _kept[name]

    return found


@kept
def noise(shape: tuple[int, ...], size: float, seed: int) -> Plane:
    """Smooth noise in about [-1, 1] with features of `size` pixels, fixed by the seed."""
    return _noise(shape, size, seed)


@kept
def clouds(shape: tuple[int, ...], size: float, seed: int, octaves: int = 4) -> Plane:
    """Noise of several sizes on top of each other, coarse to fine, in about [-1, 1]."""
    return _clouds(shape, size, seed, octaves)


@kept
def paper(shape: tuple[int, ...], scale: float, seed: int) -> Plane:
    """The tooth of a sheet of paper in about [-1, 1]: fine grain lit from the upper left."""
    height = _clouds(shape, max(2.0, 7 * scale), seed, 3)
    relief = canvas.blur(height - canvas.displace(height, 1.0, 1.0), 0.6)
    return np.clip(relief / max(float(relief.std()) * 2.2, 1e-6), -1, 1).astype(np.float32)


@kept
def streaks(shape: tuple[int, ...], size: float, length: float, angle: float, seed: int) -> Plane:
    """Noise smeared to parallel streaks.

    Args:
        shape: of the picture.
        size: width of a streak in pixels.
        length: reach to each side in pixels.
        angle: of the streaks in radians, from the x axis down.
        seed: of the noise.
    """
    flow = np.full(shape[:2], np.cos(angle), np.float32), np.full(shape[:2], np.sin(angle), np.float32)
    return canvas.along(_noise(shape, size, seed), flow, length, steps=8)


@kept
def vignette(shape: tuple[int, ...], strength: float) -> Plane:
    """1 at the centre, falling by `strength` to the corners."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return (1 - strength * canvas.smoothstep(0.5, 2.0, x * x + y * y)).astype(np.float32)


def _noise(shape: tuple[int, ...], size: float, seed: int) -> Plane:
    height, width = shape[:2]
    rng = np.random.default_rng(seed)
    rows, columns = max(2, int(np.ceil(height / size)) + 1), max(2, int(np.ceil(width / size)) + 1)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 1.6, -1.5, 1.5)


def _clouds(shape: tuple[int, ...], size: float, seed: int, octaves: int) -> Plane:
    total = np.zeros(shape[:2], np.float32)
    for k in range(octaves):
        total += _noise(shape, max(1.0, size / 2**k), seed + 101 * k) * np.float32(0.55**k)
    return np.clip(total / 1.4, -1, 1).astype(np.float32)
