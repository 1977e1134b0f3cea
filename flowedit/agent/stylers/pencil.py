"""Pencil: graphite hatching that follows the forms, layered by tone, and searching contour lines on toothed paper."""

import numpy as np

from flowedit.agent.card import Look, Measures, StyleCard
from flowedit.agent.colour import Picture, to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas, texture

_SHEET = canvas.triple(0.965, 0.955, 0.93)
_GRAPHITE = canvas.triple(0.17, 0.17, 0.19)
_HATCHES = ((-0.86, 0.10, 0.55), (0.70, 0.38, 0.80), (-0.18, 0.62, 1.0))
"""(angle in radians, darkness at which the layer starts, darkness at which it is full)"""


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Draw one picture in pencil.

    Tone by hatching and lines apart, after Lu, Xu, Jia, "Combining sketch and tone for pencil drawing" (2012).
    """
    s, master = canvas.scale_of(image), card.master
    lightness = canvas.blur(to_lab(to_paint(image))[..., 0], 0.7 * s)
    dark = 1 - canvas.tone(canvas.blur(lightness, 1.6 * s), master) ** np.float32(0.8)
    tooth = texture.noise(image.shape, max(1.0, 1.5 * s), seed) + 0.5 * texture.paper(image.shape, s, seed + 1)
    graphite = 0.20 * dark + _hatching(dark, lightness, master, s, seed)
    graphite = np.maximum(np.clip(graphite, 0, 0.80), _contours(lightness, master, s))
    graphite = graphite - 0.55 * graphite * (1 - graphite) * (tooth + 0.15)
    sheet = _SHEET * (1 + 0.012 * tooth)[..., None]
    return to_pixels(canvas.mix(sheet, _GRAPHITE, np.clip(graphite, 0, 1)))


def _hatching(dark: canvas.Plane, lightness: canvas.Plane, master: Measures, s: float, seed: int) -> canvas.Plane:
    total = np.zeros_like(dark)
    for k, (angle, start, full) in enumerate(_HATCHES):
        size, reach = max(1.2, 2.0 * s), 34 * s
        if k == 0:
            flow = canvas.contour_flow(lightness, 14 * s, master, angle)[:2]
            streaks = canvas.along(texture.noise(dark.shape, size, seed), flow, reach, steps=8)
        else:
            streaks = texture.streaks(dark.shape, size, reach, angle, seed + 11 * k)
        streaks = np.clip(0.5 + streaks / max(float(streaks.std()) * 4.0, 1e-6), 0, 1)
        pressure = canvas.smoothstep(start, full, dark)
        total += 0.36 * pressure * canvas.smoothstep(0.85, 0.15, streaks - 0.35 * (pressure - 0.5))
    return total


def _contours(lightness: canvas.Plane, master: Measures, s: float) -> canvas.Plane:
    firm = canvas.ink_lines(lightness, master, width=1.15 * s, amount=2.2, flow_length=9 * s)
    beside = canvas.displace(lightness, 2.2 * s, -1.6 * s)
    search = canvas.ink_lines(beside, master, width=0.9 * s, amount=1.1, flow_length=14 * s)
    return np.maximum(0.90 * firm, 0.34 * search)


LOOK = Look(
    name="pencil",
    title="Pencil sketch",
    medium="graphite pencil on drawing paper",
    words=("pencil", "sketch", "graphite", "drawing", "charcoal", "hatching"),
    prompt="graphite pencil sketch on white drawing paper, cross-hatching, fine contour lines, no colour",
    paint=paint,
    structure=0.25,
)
