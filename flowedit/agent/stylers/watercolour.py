"""Watercolour: pale washes with dark drying edges, pigment that pools in the paper's tooth, white paper left bare."""

import numpy as np

from flowedit.agent.card import Look, Measures, StyleCard
from flowedit.agent.colour import Picture, from_lab, to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas, texture

_SHEET = canvas.triple(0.985, 0.975, 0.95)


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Paint one picture in watercolour.

    Pigment density after Bousseau et al., "Interactive watercolor rendering" (2006): `c - (c - c^2) (d - 1)`.
    """
    s, master = canvas.scale_of(image), card.master
    trembling = canvas.displace(
        to_paint(image), *(2.6 * s * texture.clouds(image.shape, 34 * s, seed + k, 3) for k in (1, 2))
    )
    wash = canvas.brushed(canvas.brushed(trembling, master, 6.5 * s), master, 4 * s)
    wet = canvas.smoothstep(0.1, 0.7, texture.clouds(image.shape, 150 * s, seed + 3, 3))
    wash = canvas.mix(wash, canvas.blur(wash, 9 * s), 0.75 * wet)
    colour = from_lab(_thinned(to_lab(wash), master))
    colour = canvas.mix(_SHEET, colour * _SHEET, 1 - _bare(wash, master))
    density = _density(wash, image.shape, s, seed)
    pencil = canvas.ink_lines(to_lab(trembling)[..., 0], master, width=1.0 * s, amount=1.3, flow_length=5 * s)
    colour = colour - (colour - colour * colour) * density[..., None]
    colour = canvas.mix(colour, canvas.triple(0.27, 0.25, 0.27) + 0.25 * colour, 0.5 * pencil)
    sheet = _SHEET * (1 + 0.035 * texture.paper(image.shape, s, seed))[..., None]
    painted = colour * (1 + 0.05 * texture.paper(image.shape, s, seed))[..., None]
    return to_pixels(canvas.mix(sheet, painted, _field(image.shape, s, seed)))


def _thinned(lab: canvas.Paint, master: Measures) -> canvas.Paint:
    light = canvas.tone(lab[..., 0], master)
    lightness = 40 + 58 * light ** np.float32(0.72)
    a = 1.25 * lab[..., 1]
    b = 1.25 * lab[..., 2] - 7 * (1 - canvas.smoothstep(0.05, 0.5, light))
    return np.stack([lightness, a, b], axis=2).astype(np.float32)


def _bare(wash: canvas.Paint, master: Measures) -> canvas.Plane:
    lab = to_lab(wash)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    return canvas.smoothstep(0.80, 1.0, canvas.tone(lab[..., 0], master)) * canvas.smoothstep(40, 12, chroma)


def _density(wash: canvas.Paint, shape: tuple[int, ...], s: float, seed: int) -> canvas.Plane:
    grey = wash.mean(axis=2)
    rim = np.abs(canvas.blur(grey, 1.2 * s + 0.4) - canvas.blur(grey, 4.5 * s + 0.4))
    pool = 0.55 * texture.clouds(shape, 120 * s, seed + 4, 4) + 0.30 * texture.clouds(shape, 16 * s, seed + 5, 3)
    tooth = 0.35 * texture.paper(shape, s, seed)
    return (0.75 * pool + tooth + np.clip(11 * rim, 0, 1.3)).astype(np.float32)


def _field(shape: tuple[int, ...], s: float, seed: int) -> canvas.Plane:
    (height, width), (columns, rows) = shape[:2], canvas.grid(shape)
    inward = np.minimum(np.minimum(rows, height - 1 - rows), np.minimum(columns, width - 1 - columns))
    ragged = 12 * s + 13 * s * texture.clouds(shape, 90 * s, seed + 6, 4)
    return canvas.smoothstep(-2.0 * s, 2.0 * s, inward - ragged)


LOOK = Look(
    name="watercolour",
    title="Watercolour",
    medium="transparent watercolour on cold-pressed paper",
    words=("watercolour", "watercolor", "aquarelle", "wash", "water colour"),
    prompt="watercolour painting, transparent washes, soft bleeding edges, visible paper grain, pale luminous colours",
    paint=paint,
)
