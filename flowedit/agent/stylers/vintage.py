"""Vintage film: an old warm print, faded blacks, grain, dust and scratches, seen through a round-cornered gate."""

import cv2
import numpy as np

from flowedit.agent.card import StyleCard
from flowedit.agent.colour import to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas, texture
from flowedit.agent.stylers.look import Look, Picture

_SEPIA_DARK = canvas.triple(0.115, 0.065, 0.04)
_SEPIA_MIDDLE = canvas.triple(0.60, 0.44, 0.27)
_SEPIA_LIGHT = canvas.triple(0.985, 0.925, 0.78)


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Print one picture on old film stock."""
    s, master = canvas.scale_of(image), card.master
    source = canvas.blur(to_paint(image), 1.1 * s)
    lab = to_lab(source)
    light = canvas.tone(lab[..., 0], master)
    curved = 0.06 + 0.90 * canvas.mix(light, canvas.smoothstep(0, 1, light), 0.6)
    sepia = _toned(curved)
    colour = canvas.mix(sepia, source * canvas.triple(1.0, 0.90, 0.70), 0.16)
    halo = canvas.blur(canvas.smoothstep(0.78, 1.0, light), 20 * s)
    colour = canvas.screen(colour, 0.30 * halo[..., None] * canvas.triple(1.0, 0.62, 0.30))
    colour = colour * _uneven(image.shape, s, seed)[..., None]
    grain = texture.noise(image.shape, max(1.0, 1.6 * s), seed) + 0.6 * texture.noise(image.shape, 3.2 * s, seed + 1)
    colour = colour + (0.055 * grain * (0.5 + 2 * curved * (1 - curved)))[..., None]
    light_marks, dark_marks = _wear(image.shape, s, seed)
    colour = canvas.mix(colour, np.broadcast_to(_SEPIA_LIGHT, colour.shape), light_marks)
    colour = canvas.mix(colour, np.broadcast_to(_SEPIA_DARK, colour.shape), dark_marks)
    gate = _gate(image.shape, s)
    return to_pixels(colour * gate[..., None] + 0.012)


def _toned(light: canvas.Plane) -> canvas.Paint:
    low = canvas.mix(np.broadcast_to(_SEPIA_DARK, (*light.shape, 3)), _SEPIA_MIDDLE, np.clip(light * 2, 0, 1))
    high = canvas.mix(np.broadcast_to(_SEPIA_MIDDLE, (*light.shape, 3)), _SEPIA_LIGHT, np.clip(light * 2 - 1, 0, 1))
    return np.where((light < 0.5)[..., None], low, high).astype(np.float32)


def _uneven(shape: tuple[int, ...], s: float, seed: int) -> canvas.Plane:
    return texture.vignette(shape, 0.62) * (1 + 0.05 * texture.clouds(shape, 260 * s, seed + 2, 2))


def _wear(shape: tuple[int, ...], s: float, seed: int) -> tuple[canvas.Plane, canvas.Plane]:
    """Scratches that the projector left (light, near vertical) and hairs and dust (dark and light specks)."""
    rng = np.random.default_rng(seed + 3)
    height, width = shape[:2]
    light, dark = np.zeros(shape[:2], np.uint8), np.zeros(shape[:2], np.uint8)
    for _ in range(6):
        x, top, length = rng.uniform(0.04, 0.96) * width, rng.uniform(-0.2, 0.6), rng.uniform(0.3, 1.0)
        ys = np.linspace(top, top + length, 12) * height
        xs = x + np.cumsum(rng.normal(0, 0.6 * s, 12))
        points = np.stack([xs, ys], axis=1)
        canvas.draw_path(light, points, int(rng.integers(70, 170)), max(1, round(1.2 * s)))
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
    height, width = shape[:2]
    rows, columns = np.indices((height, width), dtype=np.float32)
    corner, inset = 46 * s, 9 * s
    x = np.abs(columns - (width - 1) / 2) - ((width - 1) / 2 - inset - corner)
    y = np.abs(rows - (height - 1) / 2) - ((height - 1) / 2 - inset - corner)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - corner
    return canvas.smoothstep(2.2 * s, -3.5 * s, outside)


LOOK = Look(
    name="vintage",
    title="Vintage film",
    medium="faded sepia film print",
    words=(
        "vintage",
        "old film",
        "sepia",
        "retro",
        "film grain",
        "silent film",
        "8mm",
        "super 8",
        "1920s",
        "nostalgic",
    ),
    prompt="vintage film, faded sepia print, film grain, dust and scratches, soft vignette, old projector gate",
    paint=paint,
)
