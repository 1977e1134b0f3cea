"""Classical: a colour map fitted on the keyframes, exact for styles that only change colours."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float64, UInt8

from flowedit.estimate.classical import checked_keyframes
from flowedit.metrics import psnr

Frame = UInt8[np.ndarray, "H W 3"]

DEGREE = 4
"""Of the polynomial in red, green and blue; all 35 monomials up to it."""

_RIDGE = 1e-6
"""Weight of the squared coefficients beside the mean squared error, colours in [-1, 1]: colours that no keyframe shows
are then extrapolated gently."""
_ROWS = 1 << 18
_FIT_PIXELS = 1 << 17
_FIT_ROWS = 1 << 14
"""Pixels whose monomials are computed at a time: many keyframes then need little more than the monomials themselves."""


def colour_map(frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, Frame]) -> UInt8[np.ndarray, "F H W 3"]:
    """Recolour every frame by one polynomial map, fitted on all keyframes together.

    One map for the whole clip sees every colour that any keyframe shows, and averages keyframes that disagree, so it
    neither flickers nor drifts. The keyframes' own frames are recoloured by it too.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    recolour = fitted_map(frames, keyframes)
    return np.stack([recolour(frame) for frame in frames])


def fitted_map(frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, Frame]) -> Callable[[Frame], Frame]:
    """The map of `colour_map`, which takes one frame at a time.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    keys = checked_keyframes(frames, keyframes)
    return partial(_apply, _fit([frames[i] for i in keys], list(keys.values())))


def drifting_colour_map(
    frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, Frame]
) -> UInt8[np.ndarray, "F H W 3"]:
    """As `colour_map`, with one map a keyframe, mixed in time between neighbours: for a style meant to change.

    Each map is drawn towards the common one where its keyframe does not show a colour.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    keys = checked_keyframes(frames, keyframes)
    common = _fit([frames[i] for i in keys], list(keys.values()))
    own = np.stack([_fit([frames[i]], [image], common) for i, image in keys.items()])
    shares = np.stack([np.interp(np.arange(len(frames)), list(keys), row) for row in np.eye(len(keys))], axis=1)
    return np.stack(
        [_apply(np.tensordot(share, own, axes=1), frame) for share, frame in zip(shares, frames, strict=True)]
    )


def explains(frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, Frame]) -> dict[int, float]:
    """How well the colour map reproduces each keyframe, in dB, at most 40: near 40, the style only changes colours.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    recolour = fitted_map(frames, keyframes)
    return {i: float(psnr(recolour(frames[i])[None], image[None])[0]) for i, image in sorted(keyframes.items())}


def _fit(
    sources: list[Frame], styled: list[Frame], prior: Float64[np.ndarray, "n 3"] | None = None
) -> Float64[np.ndarray, "n 3"]:
    """Ridge regression of styled on source colours, drawn towards `prior` (or 0)."""
    pixels = np.concatenate([_thinned(image) for image in sources])
    target = np.concatenate([_thinned(image) for image in styled]) / 255.0
    terms = np.empty((len(pixels), math.comb(DEGREE + 3, 3)))
    for start in range(0, len(pixels), _FIT_ROWS):
        terms[start : start + _FIT_ROWS] = monomials(pixels[start : start + _FIT_ROWS])
    gram = terms.T @ terms / len(terms)
    moment = terms.T @ target / len(terms)
    ridge = _RIDGE * np.eye(len(gram))
    return np.linalg.solve(gram + ridge, moment if prior is None else moment + ridge @ prior)


def _thinned(image: Frame) -> UInt8[np.ndarray, "n 3"]:
    """Every pixel of a small picture, an even selection of a large one."""
    pixels = image.reshape(-1, 3)
    return pixels[:: max(1, len(pixels) // _FIT_PIXELS)]


def _apply(coefficients: Float64[np.ndarray, "n 3"], frame: Frame) -> Frame:
    pixels = frame.reshape(-1, 3)
    mapped = [monomials(pixels[i : i + _ROWS]) @ coefficients for i in range(0, len(pixels), _ROWS)]
    return np.rint(np.concatenate(mapped) * 255).clip(0, 255).astype(np.uint8).reshape(frame.shape)


def monomials(pixels: UInt8[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n m"]:
    """All products of at most `DEGREE` of the three channels scaled to [-1, 1], the constant 1 first."""
    channels = list(pixels.T / 127.5 - 1)
    products: dict[tuple[int, ...], np.ndarray] = {(): np.ones(len(pixels))}
    for degree in range(1, DEGREE + 1):
        for key in combinations_with_replacement(range(3), degree):
            products[key] = products[key[:-1]] * channels[key[-1]]
    return np.stack(list(products.values()), axis=1)
