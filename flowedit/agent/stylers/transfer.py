"""Colour transfer: the clip's colours carried onto the reference picture's by optimal transport."""

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack

from flowedit.agent.card import Measures, StyleCard
from flowedit.agent.stylers import canvas
from flowedit.agent.stylers.look import Look, Picture
from flowedit.errors import AgentError

_CUBE = 33
_SOFTNESS = 14.0


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Give one picture the reference's colours and tones; every contour stays where it is.

    One map of colours serves all keyframes: it is made from the clip's palette, not from this picture.

    Args:
        image: uint8 RGB.
        card: its `reference` holds the measures of the style image.
        seed: not used; the map is exact.

    Raises:
        AgentError: the card has no reference.
    """
    del seed
    if card.reference is None:
        raise AgentError('The look "transfer" takes its colours from a picture; give --style-image FILE.')
    table = ImageFilter.Color3DLUT(_CUBE, colour_map(card.master, card.reference).ravel().tolist())
    return np.asarray(Image.fromarray(image).filter(table))


def colour_map(source: Measures, reference: Measures) -> Float[np.ndarray, "n 3"]:
    """Where each RGB colour of a 33-cube goes, red fastest: RGB in [0, 1].

    Lightness follows the two tone curves, which is the optimal transport of one dimension. Colour moves by the optimal
    transport between the two palettes: each source swatch to the mean of where its mass goes (barycentric projection,
    Ferradans et al., "Regularized discrete optimal transport", 2014), and colours between swatches by a soft mean.
    """
    axis = np.linspace(0, 1, _CUBE, dtype=np.float32)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    cube = np.stack([red.ravel(), green.ravel(), blue.ravel()], axis=1)
    lab = canvas.to_lab(cube[None])[0].astype(np.float64)
    swatches, targets = transport(source, reference)
    away = ((lab[:, None] - swatches[None]) ** 2 * [0.5, 1, 1]).sum(axis=2)
    pull = np.exp(-(away - away.min(axis=1, keepdims=True)) / (2 * _SOFTNESS**2))
    pull /= pull.sum(axis=1, keepdims=True)
    moved = lab + pull @ (targets - swatches)
    moved[:, 0] = _toned(lab[:, 0], source.tones, reference.tones)
    return canvas.from_lab(moved[None].astype(np.float32))[0]


def transport(source: Measures, reference: Measures) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
    """The source's swatches and the colours that optimal transport sends them to, in Lab."""
    first = np.array([swatch.lab for swatch in source.palette])
    second = np.array([swatch.lab for swatch in reference.palette])
    mass = np.array([swatch.weight for swatch in source.palette])
    room = np.array([swatch.weight for swatch in reference.palette])
    mass, room = mass / mass.sum(), room / room.sum()
    cost = ((first[:, None] - second[None]) ** 2).sum(axis=2)
    rows = kron(eye_array(len(mass)), np.ones((1, len(room))))
    columns = kron(np.ones((1, len(mass))), eye_array(len(room)))
    plan = linprog(
        cost.ravel(), A_eq=vstack([rows, columns]).tocsr(), b_eq=np.concatenate([mass, room]), method="highs"
    )
    if plan.x is None:
        raise AgentError(f"The palettes cannot be matched ({plan.message}); give another style image.")
    flow = plan.x.reshape(cost.shape)
    return first, flow @ second / np.maximum(flow.sum(axis=1, keepdims=True), 1e-12)


def _toned(lightness: np.ndarray, tones: tuple[float, ...], goal: tuple[float, ...]) -> np.ndarray:
    knots = np.maximum.accumulate(np.array(tones) + np.arange(len(tones)) * 1e-3)
    x = np.concatenate([[-1.0], knots, [101.0]])
    y = np.concatenate([[min(0.0, goal[0])], goal, [max(100.0, goal[-1])]])
    gentle = 0.75 * np.interp(lightness, x, y) + 0.25 * lightness
    return np.clip(gentle, 0, 100)


LOOK = Look(
    name="transfer",
    title="Colour transfer",
    medium="the colours of the reference picture",
    words=(),
    prompt="in the colours and light of the reference picture",
    paint=paint,
    structure=0.5,
)
