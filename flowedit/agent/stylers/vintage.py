"""Vintage film: an old warm print, faded blacks, grain, dust and scratches, seen through a round-cornered gate."""

import cv2
import numpy as np

from flowedit.agent.card import Look, StyleCard
from flowedit.agent.colour import Picture, to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas, texture

_WORDS = "vintage, old film, sepia, retro, film grain, silent film, 8mm, super 8, 1920s, nostalgic"
_SEPIA_DARK = canvas.triple(0.115, 0.065, 0.04)
_SEPIA_MIDDLE = canvas.triple(0.60, 0.44, 0.27)
_SEPIA_LIGHT = canvas.triple(0.985, 0.925, 0.78)


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Print one picture on old film stock."""
    s, master = canvas.scale_of(image), card.master
    source = canvas.blur(to_paint(image), 1.1 * s)
    light = canvas.tone(to_lab(source)[..., 0], master)
    curved = 0.06 + 0.90 * canvas.mix(light, canvas.smoothstep(0, 1, light), 0.6)
    colour = canvas.mix(_toned(curved), source * canvas.triple(1.0, 0.90, 0.70), 0.16)
    halo = canvas.blur(canvas.smoothstep(0.78, 1.0, light), 20 * s)
    colour = canvas.screen(colour, 0.30 * halo[..., None] * canvas.triple(1.0, 0.62, 0.30))
    uneven = texture.vignette(image.shape, 0.62) * (1 + 0.05 * texture.clouds(image.shape, 260 * s, seed + 2, 2))
    colour = colour * uneven[..., None]
    grain = texture.noise(image.shape, max(1.0, 1.6 * s), seed) + 0.6 * texture.noise(image.shape, 3.2 * s, seed + 1)
    colour = colour + (0.055 * grain * (0.5 + 2 * curved * (1 - curved)))[..., None]
    light_marks, dark_marks = _wear(image.shape, s, seed)
    colour = canvas.mix(canvas.mix(colour, _SEPIA_LIGHT, light_marks), _SEPIA_DARK, dark_marks)
    return to_pixels(colour * _gate(image.shape, s)[..., None] + 0.012)


def _toned(light: canvas.Plane) -> canvas.Paint:
    low = canvas.mix(_SEPIA_DARK, _SEPIA_MIDDLE, np.clip(light * 2, 0, 1))
    high = canvas.mix(_SEPIA_MIDDLE, _SEPIA_LIGHT, np.clip(light * 2 - 1, 0, 1))
    return np.where((light < 0.5)[..., None], low, high).astype(np.float32)


def _wear(shape: tuple[int, ...], s: float, seed: int) -> tuple[canvas.Plane, canvas.Plane]:
    """Scratches that the projector left (light, near vertical) and hairs and dust (dark and light specks)."""
    rng = np.random.default_rng(seed + 3)
    height, width = shape[:2]
    light, dark = np.zeros(shape[:2], np.uint8), np.zeros(shape[:2], np.uint8)
    for _ in range(6):
        x, top, length = rng.uniform(0.04, 0.96) * width, rng.uniform(-0.2, 0.6), rng.uniform(0.3, 1.0)
        ys = np.linspace(top, top + length, 12) * height
        xs = x + np.cumsum(rng.normal(0, 0.6 * s, 12))
        canvas.draw_path(light, np.stack([xs, ys], axis=1), int(rng.integers(70, 170)), max(1, round(1.2 * s)))
    for _ in range(5):
        start = rng.uniform(0, 1, 2) * (width, height)
        turn = np.cumsum(np.cumsum(rng.normal(0, 0.07, 24))) + rng.uniform(0, 6.3)
        bend = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], axis=1), axis=0) * 3.2 * s
        canvas.draw_path(dark, start + bend, int(rng.integers(110, 200)), max(1, round(1.3 * s)))
    for plane, count in ((light, 34), (dark, 26)):
        for _ in range(round(count * min(1.0, 0.2 + 0.8 * s))):
            spot = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            size = max(1, round(float(rng.exponential(1.2)) * s))
            cv2.circle(plane, spot, size, int(rng.integers(90, 220)), -1, cv2.LINE_AA)
    return canvas.blur(light / np.float32(255), 0.6 * s), canvas.blur(dark / np.float32(255), 0.6 * s)


def _gate(shape: tuple[int, ...], s: float) -> canvas.Plane:
    (height, width), (columns, rows) = shape[:2], canvas.grid(shape)
    corner, inset = 46 * s, 9 * s
    x = np.abs(columns - (width - 1) / 2) - ((width - 1) / 2 - inset - corner)
    y = np.abs(rows - (height - 1) / 2) - ((height - 1) / 2 - inset - corner)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - corner
    return canvas.smoothstep(2.2 * s, -3.5 * s, outside)


LOOK = Look(
    name="vintage",
    title="Vintage film",
    medium="faded sepia film print",
    words=tuple(_WORDS.split(", ")),
    prompt="vintage film, faded sepia print, film grain, dust and scratches, soft vignette, old projector gate",
    paint=paint,
)
