"""Colours of pictures in CIE Lab: main colours, and optimal transport from those of one picture to another's."""

from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8
from pydantic import BaseModel, ConfigDict, Field
from scipy.cluster.vq import kmeans2
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack

from flowedit.errors import AgentError

Picture = UInt8[np.ndarray, "_H _W 3"]
Colours = Float[np.ndarray, "k 3"]
Unit = Annotated[float, Field(ge=0, le=1)]
Lightness = Annotated[float, Field(ge=0, le=100)]
Chroma = Annotated[float, Field(ge=-128, le=128)]

_SWATCHES, _SEED = 12, 7


class Frozen(BaseModel):
    """What the agent records: never changed once made, and nothing in it that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Swatch(Frozen):
    """One colour of a palette: CIE Lab, and its share of the picture."""

    lab: tuple[Lightness, Chroma, Chroma]
    weight: Unit


Palette = tuple[Swatch, ...]


def to_paint(image: UInt8[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """uint8 to float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def to_pixels(paint: Float32[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Floats, clipped to [0, 1] and rounded, to uint8."""
    return np.rint(np.clip(paint, 0, 1) * np.float32(255)).astype(np.uint8)


def to_lab(image: UInt8[np.ndarray, "H W 3"] | Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W 3"]:
    """RGB, uint8 or floats in [0, 1], to CIE Lab."""
    return cv2.cvtColor(to_paint(image) if image.dtype == np.uint8 else np.clip(image, 0, 1), cv2.COLOR_RGB2Lab)


def from_lab(lab: Float[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W 3"]:
    """CIE Lab to RGB, clipped to [0, 1]."""
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB), 0, 1)


def palette_of(colours: Float[np.ndarray, "n 3"]) -> Palette:
    """The main colours by k-means in Lab, heaviest first: at most 12, the same for the same colours."""
    distinct = np.unique(np.round(colours, 1), axis=0)
    count = min(_SWATCHES, len(distinct))
    start = distinct[np.random.default_rng(_SEED).choice(len(distinct), count, replace=False)]
    centres, labels = kmeans2(colours, start, iter=25, minit="matrix", missing="warn")
    weights = np.bincount(labels, minlength=count) / len(labels)
    rounded = np.round(np.clip(centres, [0, -128, -128], [100, 128, 128]), 2).tolist()
    order = [k for k in np.argsort(-weights, kind="stable") if weights[k] > 0]
    return tuple(Swatch(lab=(*rounded[k],), weight=round(float(weights[k]), 4)) for k in order)


def centre(palette: Palette) -> Float[np.ndarray, " 3"]:
    """The mean colour of a palette."""
    weights = np.array([swatch.weight for swatch in palette])
    return weights @ lab_of(palette) / weights.sum()


def lab_of(palette: Palette) -> Colours:
    """The colours of a palette."""
    return np.array([swatch.lab for swatch in palette], dtype=np.float64)


def transport(source: Palette, target: Palette) -> tuple[Colours, Colours]:
    """The source's swatches and, for each, the mean of the target colours that its mass goes to.

    The barycentric projection of the exact plan: Ferradans et al., "Regularized discrete optimal transport" (2014).
    """
    flow, _ = _plan(source, target)
    return lab_of(source), flow @ lab_of(target) / np.maximum(flow.sum(axis=1, keepdims=True), 1e-12)


def palette_distance(first: Palette, second: Palette) -> float:
    """The Wasserstein-2 distance of two palettes in Lab units: 0 for the same colours in the same shares."""
    return float(np.sqrt(max(_plan(first, second)[1], 0.0)))


def _plan(source: Palette, target: Palette) -> tuple[Float[np.ndarray, "k m"], float]:
    mass, room = (np.array([swatch.weight for swatch in palette]) for palette in (source, target))
    cost = ((lab_of(source)[:, None] - lab_of(target)[None]) ** 2).sum(axis=2)
    rows = kron(eye_array(len(mass)), np.ones((1, len(room))))
    columns = kron(np.ones((1, len(mass))), eye_array(len(room)))
    limits = np.concatenate([mass / mass.sum(), room / room.sum()])
    plan = linprog(cost.ravel(), A_eq=vstack([rows, columns]).tocsr(), b_eq=limits, method="highs")
    if plan.x is None:
        raise AgentError(f"The palettes cannot be matched ({plan.message}); give another style image.")
    return plan.x.reshape(cost.shape), float(plan.fun)
