"""Comic: bold ink, a few flat bright colours, and dots of the printing screen in the half-tones."""

import numpy as np

from flowedit.agent.card import Look, StyleCard
from flowedit.agent.colour import Picture, from_lab, to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas

_PULP = canvas.triple(1.0, 0.975, 0.92)
_PITCH = 11.0
_INK = canvas.triple(0.07, 0.06, 0.11)


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Print one picture as a comic panel."""
    del seed
    s, master = canvas.scale_of(image), card.master
    flat = canvas.brushed(to_paint(image), master, 4.5 * s)
    flat = canvas.flatten(flat, radius=max(2, 4 * s), contrast=0.12, rounds=3)
    lab = to_lab(flat)
    light = canvas.tone(lab[..., 0], master)
    colour = from_lab(_flat_colours(lab, light))
    shade = from_lab(to_lab(colour) * canvas.triple(0.70, 1.12, 1.0) + canvas.triple(0, 6, -10))
    dots = _dots(image.shape, max(4.0, _PITCH * s), 0.62 * canvas.smoothstep(0.86, 0.20, light))
    printed = canvas.mix(colour * _PULP, shade, dots)
    lines = canvas.ink_lines(lab[..., 0], master, width=1.9 * s, amount=2.2, flow_length=9 * s)
    black = canvas.smoothstep(0.19, 0.05, canvas.blur(light, 1.2 * s))
    return to_pixels(canvas.mix(printed, _INK, np.maximum(lines, black)))


def _flat_colours(lab: canvas.Paint, light: canvas.Plane) -> canvas.Paint:
    level = 0.56 + 0.17 * canvas.smoothstep(0.25, 0.35, light) + 0.18 * canvas.smoothstep(0.57, 0.69, light)
    chroma = np.hypot(lab[..., 1], lab[..., 2]) + np.float32(1e-3)
    target = 84 * canvas.smoothstep(-4, 52, chroma)
    gain = np.maximum(target / chroma, 0.6)
    return np.stack([100 * level, lab[..., 1] * gain, lab[..., 2] * gain], axis=2).astype(np.float32)


def _dots(shape: tuple[int, ...], pitch: float, cover: canvas.Plane) -> canvas.Plane:
    """Round dots on a 45 degree screen whose area covers the given share of the sheet."""
    columns, rows = canvas.grid(shape)
    u, v = (columns + rows) / np.float32(1.41421356 * pitch), (columns - rows) / np.float32(1.41421356 * pitch)
    away = np.hypot(u - np.rint(u), v - np.rint(v))
    radius = np.sqrt(np.clip(cover, 0, 1) / np.float32(np.pi)) * np.float32(1.12)
    soft = 0.7 / pitch
    dots = np.clip((radius - away) / np.float32(2 * soft) + 0.5, 0, 1)
    return (dots * canvas.smoothstep(0.02, 0.10, cover)).astype(np.float32)


LOOK = Look(
    name="comic",
    title="Comic",
    medium="ink and halftone print",
    words=("comic", "halftone", "pop art", "comic book", "graphic novel", "ben-day", "lichtenstein", "manga"),
    prompt="comic book panel, bold black ink outlines, halftone dots, flat bright primary colours, pop art print",
    paint=paint,
    structure=0.25,
)
