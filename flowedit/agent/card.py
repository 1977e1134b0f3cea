"""The style card: what was measured or said about a style, shared by all keyframes; and what a look is that paints it.

Measured here, offline: a palette, a tone curve and the strength of edges. A multimodal model adds words at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from pydantic import Field

from flowedit.agent.colour import Frozen, Lightness, Picture, Swatch, palette_of, to_lab

OFFLINE = "offline"
"""Who did it, where no model was asked."""
TONE_POSITIONS = np.linspace(0.01, 0.99, 17)
"""Shares of the pixels at which a tone curve gives the lightness: its first value is the black, its last the white."""

_SAMPLES, _LONGEST_SIDE = 4096, 512


class Measures(Frozen):
    """What a set of pictures measures, taken together: main colours, heaviest first, and lightness at `TONE_POSITIONS`.

    `edge` is the 97th percentile of the lightness gradient, in units of full range per pixel at the pictures' own size.
    """

    palette: tuple[Swatch, ...] = Field(min_length=1)
    tones: tuple[Lightness, ...] = Field(min_length=len(TONE_POSITIONS), max_length=len(TONE_POSITIONS))
    edge: Annotated[float, Field(gt=0)]


class StyleCard(Frozen):
    """A style in words and numbers, complete enough to paint every keyframe alike.

    Attributes:
        look: the registered look that paints offline.
        master: the measures of the source's keyframes together: one set of parameters for all of them.
        reference: measures of the style image, where one was given.
        recoloured: measures of the keyframes in the style image's colours, where a look is painted on top of them.
        analysed_by: "offline", or the model that chose title, medium and words.
    """

    look: str
    title: str
    medium: str
    words: tuple[str, ...] = ()
    master: Measures
    reference: Measures | None = None
    recoloured: Measures | None = None
    analysed_by: str = OFFLINE


@dataclass(frozen=True, kw_only=True)
class Look:
    """One offline look.

    Attributes:
        words: lower-case words and phrases in a description that mean this look.
        prompt: what a text-to-video model is told.
        paint: (picture, card, seed) to the styled picture of the same size; the same arguments give the same bytes.
        pixelwise: whether each pixel's colour alone is changed, so that no frame is too large.
        structure: least similarity of contours to the source that the judge accepts, in [0, 1].
    """

    name: str
    title: str
    medium: str
    words: tuple[str, ...]
    prompt: str
    paint: Callable[[Picture, StyleCard, int], Picture]
    pixelwise: bool = False
    structure: float = 0.35


def measure(images: Sequence[Picture]) -> Measures:
    """Measure one or more pictures together, as if they were one; their order does not change the tone curve."""
    pooled = pool_lab(images)
    edges = [np.quantile(_gradient(to_lab(image)[..., 0]), 0.97) for image in images]
    return Measures(
        palette=palette_of(pooled),
        tones=tuple(round(float(t), 3) for t in np.quantile(pooled[:, 0], TONE_POSITIONS)),
        edge=round(max(float(np.mean(edges)), 1e-3), 6),
    )


def pool_lab(images: Sequence[Picture]) -> Float[np.ndarray, "n 3"]:
    """Lab colours sampled evenly from all pictures: every picture gives the same number of pixels."""
    each = max(1, _SAMPLES // len(images))
    pools = []
    for image in images:
        pixels = to_lab(shrink(image, _LONGEST_SIDE)).reshape(-1, 3)
        pools.append(pixels[np.linspace(0, len(pixels) - 1, min(each, len(pixels))).astype(int)])
    return np.concatenate(pools).astype(np.float64)


def shrink(image: UInt8[np.ndarray, "H W 3"], longest: int) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with its longer side at most `longest` pixels, by area average; smaller ones are left alone."""
    factor = longest / max(image.shape)
    size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
    return image if factor >= 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _gradient(lightness: np.ndarray) -> np.ndarray:
    calm = cv2.GaussianBlur(lightness / np.float32(100), (0, 0), 1.0)
    return np.hypot(cv2.Scharr(calm, cv2.CV_32F, 1, 0), cv2.Scharr(calm, cv2.CV_32F, 0, 1)) / 16
