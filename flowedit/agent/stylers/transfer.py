"""Colour transfer: the clip's colours carried onto the reference picture's by optimal transport."""

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

from flowedit.agent.card import Look, Measures, StyleCard
from flowedit.agent.colour import Picture, from_lab, to_lab, transport
from flowedit.errors import AgentError

_CUBE = 33
_SOFTNESS = 14.0
_TONE_SHARE = 0.75


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Give one picture the reference's colours and tones; every contour stays where it is."""
    del seed
    if card.reference is None:
        raise AgentError('The look "transfer" takes its colours from a picture; give --style-image FILE.')
    return recolour(image, card.master, card.reference)


def recolour(image: Picture, source: Measures, reference: Measures) -> Picture:
    """Send the picture's colours where the clip's map sends them: from its measures to the style image's."""
    table = ImageFilter.Color3DLUT(_CUBE, colour_map(source, reference).ravel().tolist())
    return np.asarray(Image.fromarray(image).filter(table))


def colour_map(source: Measures, reference: Measures) -> Float[np.ndarray, "n 3"]:
    """Where each RGB colour of a 33-cube goes, red fastest: RGB in [0, 1].

    Lightness follows the two tone curves, which is the optimal transport of one dimension. Colour moves by the optimal
    transport between the two palettes, and colours between swatches by a soft mean of their neighbours' moves.
    """
    axis = np.linspace(0, 1, _CUBE, dtype=np.float32)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    cube = np.stack([red.ravel(), green.ravel(), blue.ravel()], axis=1)
    lab = to_lab(cube[None])[0].astype(np.float64)
    swatches, targets = transport(source.palette, reference.palette)
    away = ((lab[:, None] - swatches[None]) ** 2 * [0.5, 1, 1]).sum(axis=2)
    pull = np.exp(-(away - away.min(axis=1, keepdims=True)) / (2 * _SOFTNESS**2))
    pull /= pull.sum(axis=1, keepdims=True)
    moved = lab + pull @ (targets - swatches)
    moved[:, 0] = _toned(lab[:, 0], source.tones, reference.tones)
    return from_lab(moved[None].astype(np.float32))[0]


def _toned(lightness: np.ndarray, tones: tuple[float, ...], goal: tuple[float, ...]) -> np.ndarray:
    knots = np.maximum.accumulate(np.array(tones) + np.arange(len(tones)) * 1e-3)
    x = np.concatenate([[-1.0], knots, [101.0]])
    y = np.concatenate([[min(0.0, goal[0])], goal, [max(100.0, goal[-1])]])
    carried = _TONE_SHARE * np.interp(lightness, x, y) + (1 - _TONE_SHARE) * lightness
    return np.clip(carried, 0, 100)


LOOK = Look(
    name="transfer",
    title="Colour transfer",
    medium="the colours of the reference picture",
    words=(),
    prompt="in the colours and light of the reference picture",
    paint=paint,
    structure=0.5,
    pixelwise=True,
)
