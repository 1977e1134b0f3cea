"""Pairs of 2-D distributions to flow between: what the flow field widget and the second lesson draw."""

import math
from dataclasses import dataclass

from flowedit.toy.mixture import Mixture


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A source and a target distribution in the plane.

    Attributes:
        name: short key, as in `SCENES`.
        title: what a reader sees.
        source: the data that an edit starts from.
        target: the data that it goes to, and that generation makes from noise.
    """

    name: str
    title: str
    source: Mixture
    target: Mixture


def ring(count: int, radius: float, spread: float) -> Mixture:
    """`count` round Gaussians on a circle.

    Args:
        count: number of components.
        radius: radius of the circle.
        spread: standard deviation of each.
    """
    angles = [2 * math.pi * k / count for k in range(count)]
    return Mixture.even([(radius * math.cos(a), radius * math.sin(a)) for a in angles], spread)


def rows(count: int, height: float, spread: float) -> Mixture:
    """`count` round Gaussians side by side at one height, 1.2 apart."""
    return Mixture.even([((k - (count - 1) / 2) * 1.2, height) for k in range(count)], spread)


SCENES: dict[str, Scene] = {
    scene.name: scene
    for scene in (
        Scene(
            name="clusters",
            title="Two clusters to three",
            source=Mixture.even([(-1.6, -1.0), (-1.6, 1.0)], 0.25),
            target=Mixture.even([(1.4, -1.4), (1.8, 0.0), (1.4, 1.4)], 0.25),
        ),
        Scene(
            name="ring",
            title="One blob to a ring of eight",
            source=Mixture.even([(0.0, 0.0)], 0.3),
            target=ring(8, 1.8, 0.15),
        ),
        Scene(
            name="points",
            title="Point mass to point mass",
            source=Mixture.even([(-1.5, -0.5)]),
            target=Mixture.even([(1.5, 0.8)]),
        ),
        Scene(name="rows", title="A row lifted", source=rows(4, -1.2, 0.2), target=rows(4, 1.2, 0.2)),
        Scene(
            name="gaussian",
            title="Gaussian to Gaussian",
            source=Mixture.even([(-1.0, 0.0)], 0.4),
            target=Mixture.even([(1.2, 0.4)], 0.8),
        ),
        Scene(name="same", title="The same on both sides", source=ring(3, 1.4, 0.2), target=ring(3, 1.4, 0.2)),
    )
}
"""The scenes by name; `same` shows that equal fields leave the source where it is."""
