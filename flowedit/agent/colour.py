"""Optimal transport between palettes: how far two are apart, and where each colour of one goes in the other."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack

from flowedit.agent.card import Swatch
from flowedit.errors import AgentError

Colours = Float[np.ndarray, "k 3"]


def transport(source: tuple[Swatch, ...], target: tuple[Swatch, ...]) -> tuple[Colours, Colours]:
    """The source's swatches and, for each, the mean of the target colours that its mass goes to, in Lab.

    The barycentric projection of the exact plan: Ferradans et al., "Regularized discrete optimal transport" (2014).
    """
    flow, _ = _plan(source, target)
    goals = flow @ _colours(target) / np.maximum(flow.sum(axis=1, keepdims=True), 1e-12)
    return _colours(source), goals


def palette_distance(first: tuple[Swatch, ...], second: tuple[Swatch, ...]) -> float:
    """The Wasserstein-2 distance of two palettes in Lab units: 0 for the same colours in the same shares."""
    _, cost = _plan(first, second)
    return float(np.sqrt(max(cost, 0.0)))


def _colours(palette: tuple[Swatch, ...]) -> Colours:
    return np.array([swatch.lab for swatch in palette], dtype=np.float64)


def _plan(source: tuple[Swatch, ...], target: tuple[Swatch, ...]) -> tuple[Float[np.ndarray, "k m"], float]:
    mass = np.array([swatch.weight for swatch in source])
    room = np.array([swatch.weight for swatch in target])
    mass, room = mass / mass.sum(), room / room.sum()
    cost = ((_colours(source)[:, None] - _colours(target)[None]) ** 2).sum(axis=2)
    rows = kron(eye_array(len(mass)), np.ones((1, len(room))))
    columns = kron(np.ones((1, len(mass))), eye_array(len(room)))
    limits = np.concatenate([mass, room])
    plan = linprog(cost.ravel(), A_eq=vstack([rows, columns]).tocsr(), b_eq=limits, method="highs")
    if plan.x is None:
        raise AgentError(f"The palettes cannot be matched ({plan.message}); give another style image.")
    return plan.x.reshape(cost.shape), float(plan.fun)
