"""Neon: the scene at night, every contour a glowing tube in magenta, violet and cyan, light spilling into the dark."""

import numpy as np

from flowedit.agent.card import Look, StyleCard
from flowedit.agent.colour import Picture, to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas

_PINK = canvas.triple(1.0, 0.10, 0.62)
_VIOLET = canvas.triple(0.50, 0.22, 1.0)
_CYAN = canvas.triple(0.05, 0.86, 1.0)
_AMBER = canvas.triple(1.0, 0.55, 0.12)
_TAIL = np.float32(0.2)
"""The strength at which half of a glow is left; what is well below fades to nothing."""


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Light one picture with neon at night."""
    del seed
    s, master = canvas.scale_of(image), card.master
    lab = to_lab(canvas.brushed(to_paint(image), master, 4 * s))
    light = canvas.tone(lab[..., 0], master)
    gas = _gas(lab, s)
    night = _night(light, gas)
    tube = canvas.all_lines(lab, master, (3.4, 1.8), 0.8, width=1.7 * s, flow_length=12 * s)
    halo = tube[..., None] * gas
    lit = canvas.screen(night, 0.5 * canvas.blur(night * canvas.smoothstep(0.6, 1.0, light)[..., None], 22 * s))
    for reach, power in ((60, 1.35), (16, 1.45), (5, 1.8)):
        lit = canvas.screen(lit, _ending(power * canvas.blur(halo, reach * s)))
    core = canvas.mix(gas, np.ones_like(gas), 0.45)
    return to_pixels(canvas.mix(lit, core, canvas.smoothstep(0.25, 0.85, tube)))


def _ending(glow: canvas.Paint) -> canvas.Paint:
    """The glow without its faint tail, which in black shadows would show from far away what a tube does."""
    return glow * glow / (glow + _TAIL)


def _night(light: canvas.Plane, gas: canvas.Paint) -> canvas.Paint:
    """The unlit scene: deep blue shadows, the nearest neon's colour on what is bright by day."""
    positions = np.array([0, 0.35, 0.7, 1])
    shades = np.array([[0.015, 0.01, 0.06], [0.07, 0.05, 0.26], [0.20, 0.10, 0.50], [0.52, 0.24, 0.80]])
    base = np.stack([np.interp(light, positions, shades[:, c]) for c in range(3)], axis=2).astype(np.float32)
    return canvas.screen(0.8 * base, 0.55 * (light ** np.float32(1.6))[..., None] * gas)


def _gas(lab: canvas.Paint, s: float) -> canvas.Paint:
    """The colour of the tubes: pink lights from the left, cyan ones from the right, pulled by the hue of the place."""
    wide = canvas.blur(lab, 26 * s)
    side = np.linspace(-1, 1, lab.shape[1], dtype=np.float32)[None] + np.zeros(lab.shape[:2], np.float32)
    warmth = np.clip((wide[..., 1] + 0.3 * wide[..., 2]) / 40, -1, 1) - 1.5 * side
    pink, cyan = canvas.smoothstep(-0.1, 1.0, warmth), canvas.smoothstep(0.0, -1.1, warmth)
    colour = canvas.mix(canvas.mix(_VIOLET, _PINK, pink), _CYAN, cyan)
    return canvas.mix(colour, _AMBER, 0.5 * canvas.smoothstep(45, 75, wide[..., 2]) * pink)


LOOK = Look(
    name="neon",
    title="Neon night",
    medium="neon light at night",
    words=("neon", "night", "cyberpunk", "synthwave", "vaporwave", "tron", "glow", "blade runner"),
    prompt="neon-lit night, glowing magenta and cyan contours, cyberpunk, deep shadows, light bloom",
    paint=paint,
    structure=0.25,
)
