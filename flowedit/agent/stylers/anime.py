"""Anime: flat cel colours in a few tones, violet shadows, clean thin lines, a glow on the lights."""

import numpy as np

from flowedit.agent.card import Look, Measures, StyleCard
from flowedit.agent.colour import Picture, from_lab, to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas

_TONES = (0.16, 0.40, 0.66, 0.90)
_EDGES = (0.28, 0.53, 0.78)


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Paint one picture as an animation cel."""
    del seed
    s, master = canvas.scale_of(image), card.master
    flat = canvas.brushed(to_paint(image), master, 3.2 * s)
    flat = canvas.flatten(flat, radius=max(2, 4 * s), contrast=0.12, rounds=4)
    lab = to_lab(flat)
    colour = from_lab(_cel(lab, master))
    glow = canvas.blur(canvas.smoothstep(0.72, 1.0, colour.min(axis=2))[..., None] * colour, 18 * s)
    colour = canvas.screen(colour, 0.35 * glow)
    ink = canvas.all_lines(lab, master, (2.4, 1.4), 0.7, width=1.25 * s, flow_length=8 * s)
    line = 0.55 * colour * canvas.triple(0.35, 0.22, 0.30)
    return to_pixels(canvas.mix(colour, line, ink))


def _cel(lab: canvas.Paint, master: Measures) -> canvas.Paint:
    light = canvas.tone(lab[..., 0], master) ** np.float32(0.85)
    level = canvas.mix(light, _steps(light), 0.75)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    boost = np.float32(1.0) + np.float32(0.55) * canvas.smoothstep(4, 25, chroma)
    shadow = 1 - canvas.smoothstep(0.15, 0.55, level)
    a = lab[..., 1] * boost + 7 * shadow
    b = lab[..., 2] * boost - 14 * shadow + 4 * canvas.smoothstep(0.6, 1.0, level)
    return np.stack([16 + 82 * level, a, b], axis=2).astype(np.float32)


def _steps(light: canvas.Plane) -> canvas.Plane:
    out = np.full_like(light, _TONES[0])
    for edge, low, high in zip(_EDGES, _TONES, _TONES[1:], strict=False):
        out += np.float32(high - low) * canvas.smoothstep(edge - 0.035, edge + 0.035, light)
    return out


LOOK = Look(
    name="anime",
    title="Anime",
    medium="hand-painted animation cel",
    words=("anime", "cel", "cartoon", "manga colour", "animation", "japanese animation", "toon"),
    prompt="anime style, hand-painted cel animation, flat colours, clean thin line art, soft glowing light",
    paint=paint,
)
