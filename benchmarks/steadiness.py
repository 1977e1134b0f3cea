"""How steady styled keyframes of a static camera stay: what moved left out, the camera's noise compared."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from flowedit.agent.colour import Picture, to_lab
from flowedit.errors import AgentError

REGIONS = 24
"""Regions across the shorter side of a picture."""
_MOVED = 2.0
"""A region that differs by more than this many times the usual one (the median) holds something that moved."""


class Steadiness(NamedTuple):
    """How much keyframes of a static camera differ, styled divided by source.

    A region's difference is the root mean square, over its pixels, of their Lab distance. A region is still in a pair
    of keyframes if neither it nor one of the eight around it holds anything that moved; what is left there is the
    camera's noise.

    Attributes:
        pixels: of all still regions together.
        worst: of the one worst still region, over all pairs in which it is still.
        beside: of regions that hold nothing that moved but touch one that does.
    """

    pixels: float
    worst: float
    beside: float


def steadiness(sources: Sequence[Picture], styled: Sequence[Picture]) -> Steadiness:
    """How steady the still parts of a static camera's picture stay.

    Args:
        sources: source keyframes, all of one size, with a little noise, and less than half of the picture moving.
        styled: the same keyframes styled.

    Raises:
        AgentError: the source has no noise to compare with, or nothing is still or lies beside what moves.
    """
    before, after = ([to_lab(image).astype(np.float64) for image in images] for images in (sources, styled))
    calm = edge = np.zeros((2, *_squares(before[0]).shape))
    for one, other in combinations(range(len(before)), 2):
        measured = np.stack([_squares(lab[one] - lab[other]) for lab in (before, after)])
        moved = measured[0] > _MOVED**2 * np.median(measured[0])
        touched = cv2.dilate(moved.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        calm, edge = calm + measured * ~touched, edge + measured * (touched & ~moved)
    if not (calm[0].any() and edge[0].any()):
        raise AgentError(f"{len(before)} keyframes show nothing still beside what moves; use a noisy, static camera.")
    seen = calm[:, calm[0] > 0]
    worst = float(np.sqrt((seen[1] / seen[0]).max()))
    return Steadiness(pixels=_ratio(seen), worst=worst, beside=_ratio(edge))


def _ratio(sums: Float[np.ndarray, "2 ..."]) -> float:
    return float(np.sqrt(sums[1].sum() / sums[0].sum()))


def _squares(difference: Float[np.ndarray, "_H _W 3"]) -> Float[np.ndarray, "rows columns"]:
    """Mean square by region; what is left over at the right and at the bottom is left out."""
    side = max(1, min(difference.shape[:2]) // REGIONS)
    rows, columns = difference.shape[0] // side, difference.shape[1] // side
    blocks = difference[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    return (blocks**2).sum(axis=4).mean(axis=(1, 3))
