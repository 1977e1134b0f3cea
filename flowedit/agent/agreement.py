"""Do keyframes change more than their source does? One number, for tables and tests."""

from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Picture = UInt8[np.ndarray, "_H _W 3"]

REGIONS = 24
"""Regions across the shorter side of a picture."""


def change_ratio(sources: Sequence[Picture], styled: Sequence[Picture], *, regions: int = REGIONS) -> float:
    """How much more regions differ between styled keyframes than between their source frames.

    The root mean square, over all pairs of keyframes and all regions, of the Lab distance between the region's mean
    colour in one and in the other, styled divided by source. 1 means that the style adds no change of its own.

    Args:
        sources: source keyframes of one static-camera clip, all of one size.
        styled: the same keyframes styled.
        regions: how many across the shorter side.
    """
    before, after = ([_region_means(image, regions) for image in images] for images in (sources, styled))
    moved, restyled = (
        sum(float(((one - other) ** 2).sum()) for one, other in combinations(means, 2)) for means in (before, after)
    )
    return float(np.sqrt(restyled / max(moved, 1e-12)))


def _region_means(image: Picture, regions: int) -> Float[np.ndarray, "rows columns 3"]:
    lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab).astype(np.float64)
    side = max(1, min(image.shape[:2]) // regions)
    rows, columns = image.shape[0] // side, image.shape[1] // side
    whole = lab[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    return whole.mean(axis=(1, 3))
