"""Classical: a map from a pixel's surroundings to what a style adds there, learned from the keyframes.

A colour map cannot draw a line: it sees one pixel. This map sees colours nearby, edges within a few pixels and the
place on the screen, so that outlines, glow and vignettes are known also where no keyframe shows the surface. It is a
ridge regression on random features (Rahimi and Recht, 2007), solved at once; the idea of learning a clip's style from
its few keyframes is Texler et al.'s (2020, few-shot patch-based training). How far it is believed is measured: each
keyframe is predicted from the others, and the map is shrunk to what that explains.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.estimate.colour_map import monomials

Frame = UInt8[np.ndarray, "H W 3"]
Added = Float32[np.ndarray, "H W 3"]

HIDDEN = 256
"""Random features beside the plain ones."""
_SEED = 0
_FAN_IN = 8
"""Plain features that a random one mixes, on average."""
_RIDGE = 1e-3
_FIT_PIXELS = 1 << 14
"""Of each keyframe, at most."""
_AT_ONCE = 1024
"""Pixels whose terms are computed at a time: they stay in the processor's cache."""
_BLURS = (1.0, 2.0, 4.0, 8.0)
_EDGE_BLURS = (0.7, 1.5)
_WINDOWS = (1, 3, 5, 7)
_RINGS = (9, 25)
"""Sides of the windows whose mean edge is taken from a pixel's own: what tells an outline from a texture."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What one style adds, as weights of the terms that `Surroundings` computes.

    Attributes:
        weights: (terms, 3), in 8-bit levels, already shrunk by the belief.
        belief: share of the prediction that is used, in [0, 1]; 0 when the keyframes do not bear one another out.
    """

    weights: Float32[np.ndarray, "m 3"]
    belief: float


class _Moments(NamedTuple):
    """What a ridge regression needs to know of one keyframe; the mean of several is that of all."""

    gram: np.ndarray
    moment: np.ndarray


class Surroundings:
    """What surrounds each pixel of a clip, as terms that any number of styles can be learned on.

    Args:
        keyframes: the *source* at the keyframes, uint8 (H, W, 3), by pixel index.
    """

    def __init__(self, keyframes: Mapping[int, Frame]) -> None:
        self._indices, self._halves = list(keyframes), len(keyframes) == 1
        self._centre, spread = _mean_and_spread(keyframes.values())
        self._scale = spread + np.float32(1e-3)
        rng = np.random.default_rng(_SEED)
        size = (len(self._centre), HIDDEN)
        chosen = rng.random(size) < _FAN_IN / size[0]
        self._mixing = (rng.normal(size=size) * chosen / np.sqrt(_FAN_IN)).astype(np.float32)
        self._offset = rng.uniform(-1.5, 1.5, HIDDEN).astype(np.float32)
        # Thinned features are kept of each keyframe; its terms take five times their memory, and are computed anew.
        self._parts = self._split(_features(frame) for frame in keyframes.values())
        self._grams = [_gram(self._terms(part)) for part in self._parts]

    def learn(self, added: Mapping[int, Added]) -> Learned:
        """Learn a style from what it adds at the keyframes.

        Args:
            added: (H, W, 3) in 8-bit levels, at the indices of the keyframes.
        """
        targets = self._split(added[i].reshape(-1, 3).astype(np.float32) for i in self._indices)
        known = zip(self._parts, targets, self._grams, strict=True)
        moments = [_Moments(gram, self._terms(part).T @ target / len(part)) for part, target, gram in known]
        belief = self._belief(targets, moments)
        return Learned(np.float32(belief) * _solve(moments), belief)

    def forget(self) -> None:
        """Drop the keyframes once all styles are learned; frames can still be told of."""
        self._parts, self._grams = [], []

    def tell(self, frame: Frame, styles: Sequence[Learned]) -> list[Added]:
        """What each style adds at every pixel of a frame, (H, W, 3) in 8-bit levels.

        Args:
            frame: of the source, uint8 (H, W, 3).
            styles: learned on these keyframes.
        """
        features = _features(frame)
        told = [np.empty((len(features), 3), np.float32) for _ in styles]
        for start in range(0, len(features), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            terms = self._terms(features[part])
            # Each by itself: beside others, a product would round otherwise.
            for added, style in zip(told, styles, strict=True):
                added[part] = terms @ style.weights
        return [added.reshape(frame.shape) for added in told]

    def _terms(self, features: np.ndarray) -> Float32[np.ndarray, "n m"]:
        """Plain features, random features and a constant."""
        plain = (features - self._centre) / self._scale
        terms = np.empty((len(plain), plain.shape[1] + HIDDEN + 1), np.float32)
        terms[:, : plain.shape[1]] = plain
        np.maximum(plain @ self._mixing + self._offset, 0, out=terms[:, plain.shape[1] : -1])
        terms[:, -1] = 1
        return terms

    def _belief(self, targets: Sequence[np.ndarray], moments: Sequence[_Moments]) -> float:
        """The share of the prediction that fits best where each part is predicted from all others, in [0, 1]."""
        along = power = 0.0
        for i, (part, y) in enumerate(zip(self._parts, targets, strict=True)):
            guessed = self._terms(part) @ _solve([m for j, m in enumerate(moments) if j != i])
            along += float(np.sum(guessed * y, dtype=np.float64))
            power += float(np.sum(np.square(guessed), dtype=np.float64))
        return min(1.0, max(0.0, along / power)) if power > 0 else 0.0

    def _split(self, rows: Iterable[np.ndarray]) -> list[np.ndarray]:
        """An even selection of each keyframe's rows, copied; one keyframe alone in two halves, upper and lower."""
        parts = np.array_split(next(iter(rows)), 2) if self._halves else rows
        return [part[:: max(1, len(part) // _FIT_PIXELS)].copy() for part in parts]


def _mean_and_spread(frames: Collection[Frame]) -> tuple[Float32[np.ndarray, " m"], Float32[np.ndarray, " m"]]:
    """Mean and standard deviation of the features over all pixels, of one frame at a time.

    Rows are added in the order in which NumPy adds those of all frames put together, so the sums are the same to the
    bit.
    """
    count = sum(frame.shape[0] * frame.shape[1] for frame in frames)
    mean = _summed(_features(frame) for frame in frames) / np.float32(count)
    squares = _summed(np.square(_features(frame) - mean) for frame in frames) / np.float32(count)
    return mean, np.sqrt(squares)


def _summed(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The sum of the rows of all parts, from the first to the last."""
    total = None
    for part in parts:
        total = np.add.reduce(part if total is None else np.concatenate([total[None], part]))
    return np.zeros(0, np.float32) if total is None else total


def _gram(terms: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "m m"]:
    return terms.T @ terms / len(terms)


def _solve(parts: Sequence[_Moments]) -> Float32[np.ndarray, "m 3"]:
    """Weights of the ridge regression on the mean of some moments; the constant is all but free."""
    gram = np.stack([p.gram for p in parts]).mean(axis=0, dtype=np.float64)
    moment = np.stack([p.moment for p in parts]).mean(axis=0, dtype=np.float64)
    ridge = np.full(len(gram), _RIDGE)
    ridge[-1] = _RIDGE**2
    return np.linalg.solve(gram + np.diag(ridge), moment).astype(np.float32)


def _features(frame: Frame) -> Float32[np.ndarray, "n m"]:
    """Plain features of every pixel: colour, colours nearby, edges nearby, bright parts nearby, place."""
    picture = frame.astype(np.float32) / 255
    height, width = frame.shape[:2]
    middle = picture - np.float32(0.5)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    place = np.stack([x, y, x**2 + y**2], axis=2)
    bright = _blurred(np.maximum(picture - np.float32(0.55), 0), 3.0)
    ridge = 4 * cv2.Laplacian(_blurred(picture.mean(axis=2), 1.0), cv2.CV_32F)
    parts = [
        monomials(frame.reshape(-1, 3))[:, 1:].reshape(height, width, -1),
        *(_blurred(middle, sigma) for sigma in _BLURS),
        _edges(picture),
        bright,
        ridge[..., None],
        place,
        middle * place[..., 2:],
    ]
    return np.concatenate([p.astype(np.float32, copy=False) for p in parts], axis=2).reshape(height * width, -1)


def _edges(picture: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W m"]:
    """Steepness of the colours, its maxima within a few pixels, and how far it stands out."""
    steep = [_steepness(_blurred(picture, sigma)) for sigma in _EDGE_BLURS]
    largest = [cv2.dilate(s, np.ones((k, k), np.uint8)) for s in steep for k in _WINDOWS]
    maps: list[np.ndarray] = [np.sqrt(m + np.float32(1e-6)) - np.float32(0.3) for m in largest]
    maps += [steep[0] - cv2.blur(steep[0], (side, side)) for side in _RINGS]
    return np.stack(maps, axis=2)


def _steepness(picture: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
    """Length of the gradient over all channels."""
    across, down = (cv2.Sobel(picture, cv2.CV_32F, dx, 1 - dx) / 4 for dx in (1, 0))
    return np.sqrt(np.square(across).sum(axis=2) + np.square(down).sum(axis=2))


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, `sigma` in pixels."""
    return cv2.GaussianBlur(picture, (0, 0), sigma)
