"""Oil: curved bristle strokes laid coarse to fine along the forms, thick enough to catch the light."""

import cv2
import numpy as np

from flowedit.agent.card import StyleCard
from flowedit.agent.stylers import canvas, texture
from flowedit.agent.stylers.look import Look, Picture

_LAYERS = ((28.0, 0.0), (14.0, 0.22), (7.0, 0.7))
"""(brush width in units, how much detail a place must hold to be painted again with this brush)"""
_JOINTS = 5


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Paint one picture in oil.

    Strokes after Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (1998); they sit on a
    jittered grid that the seed fixes, so that the same place gets the same stroke in every keyframe.

    Args:
        image: uint8 RGB.
        card: its master gives edge strength, black and white for all keyframes.
        seed: of the strokes and of the canvas.
    """
    s, master = canvas.scale_of(image), card.master
    source = _rich(canvas.to_paint(image), master)
    base = canvas.brushed(source, canvas.to_lab(source)[..., 0], master, 4 * s)
    rest = np.float32(-np.pi / 4) + np.float32(1.3) * texture.clouds(image.shape, 420 * s, seed + 20, 2)
    layers = np.dstack([canvas.to_pixels(canvas.blur(base, 6 * s)), np.full(image.shape[:2], 128, np.uint8)])
    flow = (rest, rest)
    for k, (width, detail) in enumerate(_LAYERS):
        flow = canvas.contour_flow(canvas.to_lab(base)[..., 0], max(2.0, 0.7 * width * s), master, rest)[:2]
        _lay(layers, base, flow, (width * s, detail * master.edge, seed + k))
    hairs = canvas.along(texture.noise(image.shape, max(1.2, 2.2 * s), seed + 9), flow, 22 * s, steps=6)
    wet = canvas.blur(canvas.to_paint(layers), 0.6 * max(s, 0.7))
    return canvas.to_pixels(_lit(wet, hairs / max(float(hairs.std()), 1e-6), s))


def _lit(layers: np.ndarray, hairs: canvas.Plane, s: float) -> canvas.Paint:
    """Light from the upper left on the height of strokes (fourth channel) and bristles."""
    height = 0.8 * canvas.blur(layers[..., 3], 0.9 * s) + 0.05 * hairs
    reach = 1.3 * s
    slope = canvas.displace(height, reach, reach) - canvas.displace(height, -reach, -reach)
    light = np.clip(0.75 * slope, -0.22, 0.22)
    pigment = layers[..., :3] * (1 + 0.035 * hairs)[..., None]
    return pigment * (1 + light)[..., None] + 0.10 * np.clip(light, 0, 1)[..., None]


def _rich(paint: canvas.Paint, master: canvas.Master) -> canvas.Paint:
    lab = canvas.to_lab(paint)
    light = canvas.tone(lab[..., 0], master)
    curved = light + 0.12 * np.sin(2 * np.pi * (light - 0.5)) / 2
    lab[..., 0] = 8 + 86 * curved
    lab[..., 1] = lab[..., 1] * 1.30 + 1.5
    lab[..., 2] = lab[..., 2] * 1.30 + 6 * canvas.smoothstep(0.1, 0.8, light)
    return canvas.from_lab(lab)


def _lay(
    layers: np.ndarray,
    base: canvas.Paint,
    flow: tuple[canvas.Plane, canvas.Plane],
    brush: tuple[float, float, int],
) -> None:
    """Paint one layer of strokes onto `layers`: uint8 (H, W, 4), colour and height."""
    width, detail, seed = brush
    rng = np.random.default_rng(seed)
    rows, columns = _seeds(base.shape, 0.62 * width, rng)
    order, doubt = rng.permutation(len(rows)), rng.uniform(0.6, 1.4, len(rows))
    pigment = canvas.blur(base, 0.3 * width)[rows, columns] + rng.normal(0, 0.02, (len(rows), 3))
    pigment = pigment + rng.normal(0, 0.025, (len(rows), 1))
    load = np.concatenate([pigment, rng.uniform(0.1, 0.9, (len(rows), 1))], axis=1)
    load = np.rint(np.clip(load, 0, 1) * 255).astype(int)
    busy = canvas.blur(np.abs(base - canvas.blur(base, width)).mean(axis=2), width)
    wanted = busy[rows, columns] >= 0.25 * detail * doubt
    paths = _paths(rows, columns, flow, width)
    thick = max(1, round(0.75 * width))
    eighths = np.rint(paths * 8).astype(np.int32)
    # Hard rims: soft ones, drawn tens of thousands of times, would take four times as long; `paint` softens them once.
    for k in order[wanted[order]]:
        cv2.polylines(layers, [eighths[k]], isClosed=False, color=load[k].tolist(), thickness=thick, shift=3)


def _seeds(shape: tuple[int, ...], spacing: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.meshgrid(np.arange(0, shape[0], spacing), np.arange(0, shape[1], spacing), indexing="ij")
    rows = rows.ravel() + rng.uniform(-0.5, 0.5, rows.size) * spacing
    columns = columns.ravel() + rng.uniform(-0.5, 0.5, columns.size) * spacing
    return np.clip(rows, 0, shape[0] - 1).astype(int), np.clip(columns, 0, shape[1] - 1).astype(int)


def _paths(rows: np.ndarray, columns: np.ndarray, flow: tuple[canvas.Plane, canvas.Plane], width: float) -> np.ndarray:
    """The joints (x, y) of each stroke, following the flow both ways from the middle: (strokes, joints, 2)."""
    height, breadth = flow[0].shape
    halves = []
    for sign in (-1.0, 1.0):
        x, y = columns.astype(np.float64), rows.astype(np.float64)
        vx, vy = sign * flow[0][rows, columns], sign * flow[1][rows, columns]
        joints = []
        for _ in range(_JOINTS // 2):
            x, y = x + vx * 0.8 * width, y + vy * 0.8 * width
            joints.append(np.stack([x, y], axis=1))
            at = np.clip(y, 0, height - 1).astype(int), np.clip(x, 0, breadth - 1).astype(int)
            turn = np.where(flow[0][at] * vx + flow[1][at] * vy < 0, -1, 1)
            vx, vy = flow[0][at] * turn, flow[1][at] * turn
        halves.append(joints)
    middle = np.stack([columns, rows], axis=1).astype(np.float64)
    return np.stack([*halves[0][::-1], middle, *halves[1]], axis=1)


LOOK = Look(
    name="oil",
    title="Oil painting",
    medium="oil on canvas, thick bristle strokes",
    words=("oil", "oil painting", "impasto", "van gogh", "impressionist", "impressionism", "brush strokes"),
    prompt="oil painting on canvas, thick visible bristle brush strokes, impasto, rich warm colours",
    paint=paint,
)
