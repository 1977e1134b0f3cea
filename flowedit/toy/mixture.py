"""Mixtures of round Gaussians and point masses: their noised densities and their exact marginal velocities.

For data `z0 ~ sum_k w_k N(m_k, s_k^2 I)` and `x = (1 - sigma) z0 + sigma * noise`, each component of `x` is Gaussian
with mean `(1 - sigma) m_k` and variance `(1 - sigma)^2 s_k^2 + sigma^2`. The marginal velocity is `E[noise - z0 | x]`,
which is an average of the components' own velocities under their posterior weights (Lipman et al. 2023,
arXiv 2210.02747, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowedit.errors import SettingError
from flowedit.flow import interpolate, velocity

Point = Sequence[float] | np.ndarray
"""Coordinates, (d,)."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K round Gaussians in d dimensions.

    Attributes:
        weights: (K,), positive, summing to 1.
        means: (K, d).
        spreads: (K,), standard deviation of each component; 0 makes it a point mass.

    >>> Mixture(np.ones(1), np.zeros((1, 2)), np.zeros(1)).velocity(np.array([[1.0, 2.0]]), 0.5)
    array([[2., 4.]])
    """

    weights: np.ndarray
    means: np.ndarray
    spreads: np.ndarray

    def __post_init__(self) -> None:
        shapes = {self.weights.shape, self.spreads.shape, self.means.shape[:1]}
        if self.means.ndim != 2 or len(shapes) > 1:
            raise SettingError(
                f"weights {self.weights.shape}, means {self.means.shape} and spreads {self.spreads.shape} do not "
                "belong together; a mixture takes (K,), (K, d) and (K,)."
            )
        if np.any(self.weights <= 0) or not np.isclose(self.weights.sum(), 1):
            raise SettingError(f"weights are {self.weights.tolist()}; they must be positive and sum to 1.")
        if np.any(self.spreads < 0):
            raise SettingError(f"spreads are {self.spreads.tolist()}; none may be negative. Use 0 for a point mass.")

    @classmethod
    def even(cls, means: Sequence[Point] | np.ndarray, spread: float = 0.0) -> "Mixture":
        """Equal weights at K points of d coordinates, and one spread for all."""
        points = np.asarray(means, dtype=np.float64)
        return cls(np.full(len(points), 1 / len(points)), points, np.full(len(points), float(spread)))

    def velocity(self, x: np.ndarray, sigma: float) -> np.ndarray:
        """The exact marginal velocity `E[noise - z0 | x]` at points (n, d): (n, d), pointing from data to noise.

        Raises:
            SettingError: sigma 0 with a point mass: no point but the mass itself is possible there.
        """
        offset, variance = self._offsets(x, sigma)
        gain = ((1 - sigma) * self.spreads**2 / variance)[:, None]
        data = self.means + gain * offset
        noise = (sigma / variance)[:, None] * offset
        return np.einsum("nk,nkd->nd", self.posterior(x, sigma), velocity(data, noise))

    def posterior(self, x: np.ndarray, sigma: float) -> np.ndarray:
        """How likely each component is, given the noised point: (n, K), rows sum to 1."""
        logits = self._logits(x, sigma)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def density(self, x: np.ndarray, sigma: float) -> np.ndarray:
        """Probability density of the noised data at points (n, d): (n,)."""
        dimensions = self.means.shape[1]
        return np.exp(self._logits(x, sigma)).sum(axis=1) / (2 * np.pi) ** (dimensions / 2)

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Data points drawn from the mixture, (count, d)."""
        component = rng.choice(len(self.weights), size=count, p=self.weights)
        noise = rng.standard_normal((count, self.means.shape[1]))
        return self.means[component] + self.spreads[component, None] * noise

    def to_dict(self) -> dict[str, list[Any]]:
        """The mixture as plain lists, ready for JSON and for a widget."""
        return {"weights": self.weights.tolist(), "means": self.means.tolist(), "spreads": self.spreads.tolist()}

    def _offsets(self, x: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        """Offsets from every noised mean (n, K, d), and the noised variances (K,)."""
        variance = (1 - sigma) ** 2 * self.spreads**2 + sigma**2
        if np.any(variance == 0):
            raise SettingError("sigma is 0 and a component is a point mass; take sigma > 0, or give it a spread.")
        return x[:, None, :] - interpolate(self.means, np.zeros_like(self.means), sigma), variance

    def _logits(self, x: np.ndarray, sigma: float) -> np.ndarray:
        offset, variance = self._offsets(x, sigma)
        square, dimensions = np.sum(offset**2, axis=2), self.means.shape[1]
        return np.log(self.weights) - 0.5 * (square / variance + dimensions * np.log(variance))


def point_mass(center: Point) -> Mixture:
    """Data that is always `center`: the velocity is `(x - center) / sigma`, with no other data to confuse it.

    >>> point_mass([1.0]).velocity(np.array([[3.0]]), 0.5).tolist()
    [[4.0]]
    """
    return Mixture.even([center])


def gaussian(center: Point, spread: float) -> Mixture:
    """A single round Gaussian."""
    return Mixture.even([center], spread)


def gaussian_flow(data: Mixture, noise: np.ndarray, sigma: float) -> np.ndarray:
    """Where the exact flow of a single Gaussian takes each noise sample (n, d) by the time it reaches `sigma`.

    `(1 - sigma) m + std(sigma) * noise`: the closed form against which a solver's order is measured.

    Raises:
        SettingError: a mixture of several components, whose flow has no closed form.
    """
    if len(data.weights) != 1:
        raise SettingError(f"The mixture has {len(data.weights)} components; only the flow of one has a closed form.")
    std = np.hypot((1 - sigma) * data.spreads[0], sigma)
    return interpolate(data.means[0], np.zeros(data.means.shape[1]), sigma) + std * noise
