"""Pairs of 2-D distributions to flow between: what the flow field widget and the second lesson draw."""

import math
from typing import NamedTuple

from flowedit.toy.mixture import Mixture


class Scene(NamedTuple):
    """A pair in the plane: an edit starts from the source; the target is where it goes, and what noise becomes."""

    title: str
    source: Mixture
    target: Mixture


def ring(count: int, radius: float, spread: float) -> Mixture:
    """`count` round Gaussians on a circle."""
    angles = [2 * math.pi * k / count for k in range(count)]
    return Mixture.even([(radius * math.cos(a), radius * math.sin(a)) for a in angles], spread)


def rows(count: int, height: float, spread: float) -> Mixture:
    """`count` round Gaussians side by side at one height, 1.2 apart."""
    return Mixture.even([((k - (count - 1) / 2) * 1.2, height) for k in range(count)], spread)


SCENES: dict[str, Scene] = {
    "clusters": Scene(
        "Two clusters to three",
        Mixture.even([(-1.6, -1.0), (-1.6, 1.0)], 0.25),
        Mixture.even([(1.4, -1.4), (1.8, 0.0), (1.4, 1.4)], 0.25),
    ),
    "ring": Scene("One blob to a ring of eight", Mixture.even([(0.0, 0.0)], 0.3), ring(8, 1.8, 0.15)),
    "points": Scene("Point mass to point mass", Mixture.even([(-1.5, -0.5)]), Mixture.even([(1.5, 0.8)])),
    "rows": Scene("A row lifted", rows(4, -1.2, 0.2), rows(4, 1.2, 0.2)),
    "gaussian": Scene("Gaussian to Gaussian", Mixture.even([(-1.0, 0.0)], 0.4), Mixture.even([(1.2, 0.4)], 0.8)),
    "same": Scene("The same on both sides", ring(3, 1.4, 0.2), ring(3, 1.4, 0.2)),
}
"""The scenes by name; `same` shows that equal fields leave the source where it is."""
