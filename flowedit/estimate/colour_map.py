"""Classical: a colour map fitted on the keyframes, exact for styles that only change colours."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from flowedit.errors import KeyframeError

Frame = UInt8[np.ndarray, "H W 3"]
Video = UInt8[np.ndarray, "F H W 3"]

DEGREE = 4
"""Of the polynomial in red, green and blue."""
MONOMIALS = comb(3 + DEGREE, 3)

_RIDGE = 1e-6
"""Weight of the squared coefficients beside the mean squared error, colours in [-1, 1]: colours that no keyframe shows
are then extrapolated gently."""
_FIT_PIXELS = 1 << 17
"""Of each keyframe, at most."""
AT_ONCE = 1 << 13
"""Pixels whose monomials are computed at a time: they stay in the processor's cache."""


def checked_keyframes(frames: Video, keyframes: Mapping[int, Frame]) -> dict[int, Frame]:
    """The keyframes in order of time.

    Raises:
        KeyframeError: there is none, or one lies outside the clip, or has another size than the frames.
    """
    if not keyframes:
        raise KeyframeError("A classical method needs at least 1 keyframe; got 0.")
    for index, image in keyframes.items():
        if not 0 <= index < len(frames):
            raise KeyframeError(f"Keyframe {index} is outside the clip; use 0 to {len(frames) - 1}.")
        if image.shape != frames.shape[1:] or image.dtype != np.uint8:
            raise KeyframeError(
                f"Keyframe {index} is {image.dtype} {image.shape}, the frames uint8 {frames.shape[1:]}; resize it."
            )
    return dict(sorted(keyframes.items()))


def colour_map(frames: Video, keyframes: Mapping[int, Frame], out: Video | None = None) -> Video:
    """Recolour every frame by one polynomial map, fitted on all keyframes together.

    One map for the whole clip sees every colour that any keyframe shows, and averages keyframes that disagree, so it
    neither flickers nor drifts. The keyframes' own frames are recoloured by it too.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.
        out: where the result is written; `frames` itself will do. None takes new memory.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    recolour, made = fitted_map(frames, keyframes), np.empty_like(frames) if out is None else out
    for i, frame in enumerate(frames):
        made[i] = recolour(frame)
    return made


def fitted_map(frames: Video, keyframes: Mapping[int, Frame]) -> Callable[[Frame], Frame]:
    """The map of `colour_map`, which takes one frame at a time: ridge regression of styled on source colours."""
    gram = _RIDGE * np.eye(MONOMIALS)
    moment, keys = np.zeros((len(gram), 3)), checked_keyframes(frames, keyframes)
    for index, image in keys.items():
        thinned = slice(None, None, max(1, image[..., 0].size // _FIT_PIXELS))
        pixels, styled = (picture.reshape(-1, 3)[thinned] for picture in (frames[index], image))
        share = 1 / (len(pixels) * len(keys))
        for start in range(0, len(pixels), AT_ONCE):
            terms = monomials(pixels[start : start + AT_ONCE]).astype(np.float64)
            gram += share * (terms @ terms.T)
            moment += share / 255 * (terms @ styled[start : start + AT_ONCE])
    return partial(_apply, np.linalg.solve(gram, moment))


def _apply(coefficients: Float64[np.ndarray, "m 3"], frame: Frame) -> Frame:
    pixels, weights = frame.reshape(-1, 3), (255 * coefficients.T).astype(np.float32)
    mapped = np.empty_like(pixels)
    for start in range(0, len(pixels), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        mapped[part] = np.rint(weighted(weights, monomials(pixels[part]))).clip(0, 255).T
    return mapped.reshape(frame.shape)


def weighted(weights: Float32[np.ndarray, "k m"], terms: Float32[np.ndarray, "m n"]) -> Float32[np.ndarray, "k n"]:
    """`weights @ terms` of few rows, where the threads of a BLAS would wait longer for one another than they work."""
    return np.einsum("km,mn->kn", weights, terms)


def monomials(pixels: UInt8[np.ndarray, "n 3"]) -> Float32[np.ndarray, "m n"]:
    """All products of at most `DEGREE` of the three channels scaled to [-1, 1], the constant 1 first."""
    keys = [key for degree in range(DEGREE + 1) for key in combinations_with_replacement(range(3), degree)]
    place = {key: row for row, key in enumerate(keys)}
    terms = np.ones((len(keys), len(pixels)), np.float32)
    terms[1:4] = pixels.T / np.float32(127.5) - 1
    for row, key in enumerate(keys[4:], start=4):
        np.multiply(terms[place[key[:-1]]], terms[place[key[-1:]]], out=terms[row])
    return terms
