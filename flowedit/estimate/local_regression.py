"""Classical: a map from a pixel's surroundings to what a style adds there, learned from the keyframes.

A colour map cannot draw a line: it sees one pixel. This map sees colours nearby, edges within a few pixels and the
place on the screen, so that outlines, glow and vignettes are known also where no keyframe shows the surface. It is a
ridge regression on random features (Rahimi and Recht, 2007), solved at once; the idea of learning a clip's style from
its few keyframes is Texler et al.'s (2020, few-shot patch-based training). How far it is believed is measured: each
keyframe is predicted from the others, and the map is shrunk to what that explains. Large frames are shrunk for it.
"""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from scipy.sparse import csr_matrix

from flowedit.estimate.colour_map import AT_ONCE, MONOMIALS, monomials, weighted
from flowedit.media.images import resize_image

Frame = UInt8[np.ndarray, "H W 3"]
Added = Float32[np.ndarray, "H W 3"]

_LEAST_SIDE, _MOST_SIDE = 448, 640
"""Large frames are predicted at half size, within these longer sides."""
HIDDEN = 256
"""Random features beside the plain ones."""
_SEED = 0
_FAN_IN = 8
"""Plain features that a random one mixes, on average."""
_RIDGE = 1e-3
_FIT_PIXELS, _ALL_PIXELS = 1 << 14, 1 << 16
"""Of each keyframe, and of all together, at most."""
_AT_ONCE = 2048
"""Pixels whose terms are computed at a time: they stay in the processor's cache."""
_BLURS = (1.0, 2.0, 4.0, 8.0)
_EDGE_BLURS = (0.7, 1.5)
_WINDOWS = (1, 3, 5, 7)
_RINGS = (9, 25)
"""Sides of the windows whose mean edge is taken from a pixel's own: what tells an outline from a texture."""

_Terms = Float32[np.ndarray, "_m _n"]
_Moments = tuple[np.ndarray, np.ndarray]
"""Of one keyframe: what its terms are among themselves, and with what the style adds."""


class LocalRegression:
    """What a style adds to each pixel, told by what surrounds it.

    Args:
        sources: the *source* at the keyframes, uint8 (H, W, 3), by pixel index.
        added: what the style adds to each, (H, W, 3) in 8-bit levels, made when it is asked for.

    Attributes:
        belief: share of the prediction that is used, in [0, 1]; 0 when the keyframes do not bear one another out.
    """

    def __init__(self, sources: Mapping[int, Frame], added: Callable[[int], Added]) -> None:
        halves, most = 1 + (len(sources) == 1), min(_FIT_PIXELS, _ALL_PIXELS // len(sources))
        parts = [part for i, source in sources.items() for part in _thinned(source, added(i), halves, most)]
        # In double precision: thousands of values of very different size are added.
        known = np.concatenate([features for features, _ in parts], axis=1).astype(np.float64)
        centre, spread = known.mean(axis=1), known.std(axis=1) + 1e-3
        rng, size = np.random.default_rng(_SEED), (HIDDEN, len(known) - 1)
        mixing = rng.normal(size=size) * (rng.random(size) < _FAN_IN / size[1]) / (np.sqrt(_FAN_IN) * spread[1:])
        offset = rng.uniform(-1.5, 1.5, HIDDEN) - mixing @ centre[1:]
        mixing = np.insert(mixing, 0, offset, axis=1)
        self._mixing = csr_matrix(mixing.astype(np.float32))
        terms = [np.concatenate([self._hidden(features), features]) for features, _ in parts]
        targets = [target for _, target in parts]
        moments = [(t @ t.T / t.shape[1], t @ y.T / t.shape[1]) for t, y in zip(terms, targets, strict=True)]
        # As if every feature had deviation 1; the constant is all but free.
        ridge = _RIDGE * np.concatenate([np.ones(HIDDEN), [_RIDGE], np.square(spread[1:])])
        self.belief = _belief(terms, targets, moments, ridge)
        self._weights = np.float32(self.belief) * _solved(moments, ridge)

    def told(self, frame: Frame) -> Float32[np.ndarray, "_h _w 3"]:
        """What the style adds to a frame of the source, in 8-bit levels, on the smaller grid that it is told on."""
        small = _shrunk(frame)
        features = _features(small)
        told = np.empty((features.shape[1], 3), np.float32)
        for start in range(0, len(told), _AT_ONCE):
            part = features[:, start : start + _AT_ONCE]
            of_hidden = weighted(self._weights[:, :HIDDEN], self._hidden(part))
            told[start : start + _AT_ONCE] = (of_hidden + weighted(self._weights[:, HIDDEN:], part)).T
        return told.reshape(small.shape)

    def _hidden(self, features: _Terms) -> _Terms:
        """The random features."""
        mixed = self._mixing @ features
        return np.maximum(mixed, 0, out=mixed)


def _thinned(source: Frame, added: Added, pieces: int, most: int) -> list[tuple[_Terms, _Terms]]:
    """An even selection of a keyframe's features and of what is added, in pieces from the top to the bottom."""
    small = _shrunk(source)
    target = cv2.resize(added, small.shape[1::-1], interpolation=cv2.INTER_AREA).reshape(-1, 3).T
    pairs = zip(*(np.array_split(rows, pieces, axis=1) for rows in (_features(small), target)), strict=True)
    return [tuple(rows[:, :: max(1, rows.shape[1] // most)].copy() for rows in pair) for pair in pairs]


def _shrunk(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_h _w 3"]:
    height, width = frame.shape[:2]
    longer = max(height, width)
    share = min(1.0, min(max(longer / 2, _LEAST_SIDE), _MOST_SIDE) / longer)
    return resize_image(frame, (max(1, round(height * share)), max(1, round(width * share))))


def _belief(
    terms: Sequence[_Terms], targets: Sequence[_Terms], moments: Sequence[_Moments], ridge: np.ndarray
) -> float:
    """The share of the prediction that fits best where each part is predicted from all others, in [0, 1]."""
    along = power = 0.0
    for i, (each, y) in enumerate(zip(terms, targets, strict=True)):
        told = _solved([m for j, m in enumerate(moments) if j != i], ridge) @ each
        along += float(np.sum(told * y, dtype=np.float64))
        power += float(np.sum(np.square(told), dtype=np.float64))
    return min(1.0, max(0.0, along / power)) if power > 0 else 0.0


def _solved(parts: Sequence[_Moments], ridge: np.ndarray) -> Float32[np.ndarray, "3 _m"]:
    """Weights of the ridge regression on the mean of some moments."""
    gram, moment = (np.mean(each, axis=0, dtype=np.float64) for each in zip(*parts, strict=True))
    return np.linalg.solve(gram + np.diag(ridge), moment).astype(np.float32).T


def _features(frame: Frame) -> Float32[np.ndarray, "m n"]:
    """Plain features of every pixel, a constant first: colour, colours and edges nearby, bright parts nearby, place."""
    picture = frame.astype(np.float32) / 255
    height, width = frame.shape[:2]
    middle = picture - np.float32(0.5)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    away = x**2 + y**2
    colours = [
        *(_blurred(middle, sigma) for sigma in _BLURS),
        _blurred(np.maximum(picture - np.float32(0.55), 0), 3.0),
        middle * away[..., None],
    ]
    ridge = 4 * cv2.Laplacian(_blurred(cv2.transform(picture, np.full((1, 3), 1 / 3)), 1.0), cv2.CV_32F)
    planes = [plane for each in colours for plane in cv2.split(each)] + [*_edges(picture), ridge, x, y, away]
    terms = np.empty((MONOMIALS + len(planes), height * width), np.float32)
    for start in range(0, height * width, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        terms[:MONOMIALS, part] = monomials(frame.reshape(-1, 3)[part])
    for row, plane in zip(terms[MONOMIALS:], planes, strict=True):
        row[:] = plane.ravel()
    return terms


def _edges(picture: Float32[np.ndarray, "H W 3"]) -> list[Float32[np.ndarray, "H W"]]:
    """Steepness of the colours, its maxima within a few pixels, and how far it stands out."""
    steep = [_steepness(_blurred(picture, sigma)) for sigma in _EDGE_BLURS]
    largest = [cv2.dilate(s, np.ones((k, k), np.uint8)) for s in steep for k in _WINDOWS]
    stands_out = [steep[0] - cv2.blur(steep[0], (side, side)) for side in _RINGS]
    return [np.sqrt(m + np.float32(1e-6)) - np.float32(0.3) for m in largest] + stands_out


def _steepness(picture: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
    """Length of the gradient over all channels."""
    across, down = (cv2.Sobel(picture, cv2.CV_32F, dx, 1 - dx, scale=0.25) for dx in (1, 0))
    return cv2.sqrt(cv2.transform(across * across + down * down, np.ones((1, 3))))


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, `sigma` in pixels."""
    return cv2.GaussianBlur(picture, (0, 0), sigma)
