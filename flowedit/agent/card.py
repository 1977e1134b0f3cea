"""The style card: what was measured or said about a style, and the clip-wide measures that all keyframes share.

Measured here, offline: a palette (k-means in CIE Lab), a tone curve (quantiles of lightness), the weight of dark lines
and the amount of fine texture. A multimodal model may add words and a medium; it never overwrites what was measured.
"""

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from pydantic import BaseModel, ConfigDict, Field
from scipy.cluster.vq import kmeans2

Unit = Annotated[float, Field(ge=0, le=1)]
Lightness = Annotated[float, Field(ge=0, le=100)]

TONE_POSITIONS = np.linspace(0.01, 0.99, 17)
"""Shares of the pixels at which a tone curve gives the lightness: its first value is the black, its last the white."""

_PALETTE_SEED = 7
_SAMPLES = 4096
_LONGEST_SIDE = 512


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Swatch(_Record):
    """One colour of a palette.

    Attributes:
        lab: CIE Lab; L in [0, 100].
        weight: share of the picture in [0, 1].
    """

    lab: tuple[Lightness, Annotated[float, Field(ge=-128, le=128)], Annotated[float, Field(ge=-128, le=128)]]
    weight: Unit


class Measures(_Record):
    """What a set of pictures measures, taken together.

    Attributes:
        palette: the main colours, heaviest first.
        tones: lightness L at `TONE_POSITIONS`, not decreasing.
        edge: 97th percentile of the lightness gradient, in units of full range per pixel at the pictures' own size.
        chroma: 90th percentile of the colourfulness in Lab.
        line_weight: share of the picture covered by thin dark lines.
        texture: root mean square of the finest detail, in units of L.
    """

    palette: tuple[Swatch, ...] = Field(min_length=1)
    tones: tuple[Lightness, ...] = Field(min_length=len(TONE_POSITIONS), max_length=len(TONE_POSITIONS))
    edge: Annotated[float, Field(gt=0)]
    chroma: Annotated[float, Field(ge=0)]
    line_weight: Unit
    texture: Annotated[float, Field(ge=0)]


Master = Measures
"""The measures of the source's keyframes together: one set of parameters for all of them."""


class StyleCard(_Record):
    """A style in words and numbers, complete enough to paint every keyframe alike.

    Attributes:
        look: the registered look that paints offline.
        title: what a person would call it.
        medium: what it is made with, such as "watercolour on cold-pressed paper".
        words: what else was said about it.
        master: the source clip's measures, shared by all keyframes.
        reference: measures of the style image, where one was given.
        recoloured: measures of the keyframes in the style image's colours, where a look is painted on top of them.
        analysed_by: "offline", or the model that added words.
    """

    look: str
    title: str
    medium: str
    words: tuple[str, ...] = ()
    master: Measures
    reference: Measures | None = None
    recoloured: Measures | None = None
    analysed_by: str = "offline"


def measure(images: Sequence[UInt8[np.ndarray, "_H _W 3"]]) -> Measures:
    """Measure pictures together, as if they were one; the order of the pictures does not change the tone curve.

    Args:
        images: one or more RGB pictures, of any sizes.
    """
    labs = [_lab(image) for image in images]
    pooled = pool_lab(images)
    gradients = [_gradient(lab[..., 0]) for lab in labs]
    chroma = np.hypot(pooled[:, 1], pooled[:, 2])
    return Measures(
        palette=palette_of(pooled),
        tones=tuple(round(float(t), 3) for t in np.quantile(pooled[:, 0], TONE_POSITIONS)),
        edge=round(max(float(np.mean([np.quantile(g, 0.97) for g in gradients])), 1e-3), 6),
        chroma=round(float(np.quantile(chroma, 0.9)), 3),
        line_weight=round(float(np.mean([_line_share(lab[..., 0]) for lab in labs])), 4),
        texture=round(float(np.mean([_texture(lab[..., 0]) for lab in labs])), 4),
    )


def pool_lab(images: Sequence[UInt8[np.ndarray, "_H _W 3"]]) -> Float[np.ndarray, "n 3"]:
    """Lab colours sampled evenly from all pictures: every picture gives the same number of pixels."""
    each = max(1, _SAMPLES // len(images))
    pools = []
    for image in images:
        pixels = _lab(shrink(image, _LONGEST_SIDE)).reshape(-1, 3)
        pools.append(pixels[np.linspace(0, len(pixels) - 1, min(each, len(pixels))).astype(int)])
    return np.concatenate(pools).astype(np.float64)


def palette_of(colours: Float[np.ndarray, "n 3"], size: int = 12) -> tuple[Swatch, ...]:
    """Main colours by k-means, heaviest first, the same for the same colours (a fixed seed).

    Args:
        colours: Lab.
        size: how many at most; fewer where there are not so many colours.
    """
    distinct = np.unique(np.round(colours, 1), axis=0)
    count = min(size, len(distinct))
    start = distinct[np.random.default_rng(_PALETTE_SEED).choice(len(distinct), count, replace=False)]
    centres, labels = kmeans2(colours, start, iter=25, minit="matrix", missing="warn")
    weights = np.bincount(labels, minlength=count) / len(labels)
    order = [k for k in np.argsort(-weights, kind="stable") if weights[k] > 0]
    limits = np.array([[0, -128, -128], [100, 128, 128]])
    clipped = np.clip(centres, limits[0], limits[1])
    rounded = np.round(clipped, 2).tolist()
    return tuple(Swatch(lab=(*rounded[k],), weight=round(float(weights[k]), 4)) for k in order)


def shrink(image: UInt8[np.ndarray, "H W 3"], longest: int) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with its longer side at most `longest` pixels, by area average; smaller ones are left alone."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _lab(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)


def _gradient(lightness: np.ndarray) -> np.ndarray:
    calm = cv2.GaussianBlur(lightness / np.float32(100), (0, 0), 1.0)
    return np.hypot(cv2.Scharr(calm, cv2.CV_32F, 1, 0), cv2.Scharr(calm, cv2.CV_32F, 0, 1)) / 16


def _line_share(lightness: np.ndarray) -> float:
    size = 2 * max(1, round(min(lightness.shape) / 180)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return float((cv2.morphologyEx(lightness, cv2.MORPH_BLACKHAT, kernel) > 20).mean())


def _texture(lightness: np.ndarray) -> float:
    return float(np.sqrt(np.mean((lightness - cv2.GaussianBlur(lightness, (0, 0), 1.5)) ** 2)))
