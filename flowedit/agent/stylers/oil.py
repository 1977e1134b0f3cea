"""Oil: curved bristle strokes laid coarse to fine along the forms, thick enough to catch the light."""

import cv2
import numpy as np

from flowedit.agent.card import Look, Measures, StyleCard
from flowedit.agent.colour import Picture, from_lab, to_lab, to_paint, to_pixels
from flowedit.agent.stylers import canvas, texture

Flow = tuple[np.ndarray, np.ndarray]
_LAYERS = ((28.0, 0.0), (14.0, 0.22), (7.0, 0.7))
"""(brush width in units, how much detail a place must hold to be painted again with this brush)"""
_JOINTS = 5


def paint(image: Picture, card: StyleCard, seed: int) -> Picture:
    """Paint one picture in oil.

    Strokes after Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (1998); they sit on a
    jittered grid that the seed fixes, so that the same place gets the same stroke in every keyframe.
    """
    s, master = canvas.scale_of(image), card.master
    base = canvas.brushed(_rich(to_paint(image), master), master, 4 * s)
    rest = np.float32(-np.pi / 4) + np.float32(1.3) * texture.clouds(image.shape, 420 * s, seed + 20, 2)
    layers = np.dstack([to_pixels(canvas.blur(base, 6 * s)), np.full(image.shape[:2], 128, np.uint8)])
    doubled = (np.cos(2 * rest), np.sin(2 * rest))
    for k, (width, detail) in enumerate(_LAYERS):
        doubled = canvas.doubled_flow(to_lab(base)[..., 0], max(2.0, 0.7 * width * s), master, rest)[:2]
        _lay(layers, base, doubled, width * s, detail * master.edge, seed + k)
    bristles = texture.noise(image.shape, max(1.2, 2.2 * s), seed + 9)
    hairs = canvas.along(bristles, canvas.undoubled(*doubled), 22 * s, steps=6)
    wet = canvas.blur(to_paint(layers), 0.6 * max(s, 0.7))
    return to_pixels(_lit(wet, hairs / max(float(hairs.std()), 1e-6), s))


def _lit(layers: np.ndarray, hairs: canvas.Plane, s: float) -> canvas.Paint:
    """Light from the upper left on the height of strokes (fourth channel) and bristles."""
    height = 0.8 * canvas.blur(layers[..., 3], 0.9 * s) + 0.05 * hairs
    reach = 1.3 * s
    slope = canvas.displace(height, reach, reach) - canvas.displace(height, -reach, -reach)
    light = np.clip(0.75 * slope, -0.22, 0.22)
    pigment = layers[..., :3] * (1 + 0.035 * hairs)[..., None]
    return pigment * (1 + light)[..., None] + 0.10 * np.clip(light, 0, 1)[..., None]


def _rich(paint: canvas.Paint, master: Measures) -> canvas.Paint:
    lab = to_lab(paint)
    light = canvas.tone(lab[..., 0], master)
    curved = light + 0.12 * np.sin(2 * np.pi * (light - 0.5)) / 2
    lab[..., 0] = 8 + 86 * curved
    lab[..., 1] = lab[..., 1] * 1.30 + 1.5
    lab[..., 2] = lab[..., 2] * 1.30 + 6 * canvas.smoothstep(0.1, 0.8, light)
    return from_lab(lab)


def _lay(layers: np.ndarray, base: canvas.Paint, doubled: Flow, width: float, detail: float, seed: int) -> None:
    """Paint one layer of strokes onto `layers`: uint8 (H, W, 4), colour and height."""
    rng = np.random.default_rng(seed)
    at = _seeds(base.shape, 0.62 * width, rng)
    order, doubt = rng.permutation(len(at[0])), rng.uniform(0.6, 1.4, len(at[0]))
    load = _load(canvas.blur(base, 0.3 * width)[at], rng)
    opacity = np.ones(len(order))
    if detail > 0:
        # Strokes fade in with what they would add, for one that is there or not would come and go with noise.
        needed = 0.25 * detail * doubt
        opacity = np.clip(0.5 + (_busy(base, width)[at] / needed - 1) / 0.4, 0, 1)
    order = order[opacity[order] > 0]
    at = at[0][order], at[1][order]
    paths = _paths(at, canvas.undoubled(*doubled), 0.8 * width * _sure(at, doubled, width))
    _draw(layers, np.rint(8 * paths).astype(np.int32), load[order], opacity[order], max(1, round(0.75 * width)))


def _draw(layers: np.ndarray, joints: np.ndarray, load: np.ndarray, opacity: np.ndarray, thick: int) -> None:
    """Draw strokes, each over the ones before it; joints (strokes, joints, 2) in eighths of a pixel."""
    first = np.maximum(joints.min(axis=1) // 8 - thick - 1, 0)
    last = joints.max(axis=1) // 8 + thick + 2
    inside = list(joints - 8 * first[:, None])
    corners = np.concatenate([first, last], axis=1).tolist()
    # Hard rims: soft ones, drawn tens of thousands of times, would take four times as long; `paint` softens them once.
    for path, colour, share, (left, top, right, bottom) in zip(
        inside, load.tolist(), opacity.tolist(), corners, strict=True
    ):
        under = layers[top:bottom, left:right]
        over = under if share == 1 else under.copy()
        cv2.polylines(over, [path], isClosed=False, color=colour, thickness=thick, shift=3)
        if share < 1:
            cv2.addWeighted(over, share, under, 1 - share, 0, under)


def _load(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What each brush carries, int (strokes, 4): its colour, a little astray, less so where it is dark; its height."""
    count = len(colours)
    astray = rng.normal(0, 0.02, (count, 3)) + rng.normal(0, 0.025, (count, 1))
    shade = 0.4 + 0.6 * canvas.smoothstep(0.0, 0.4, colours.mean(axis=1, keepdims=True))
    load = np.concatenate([colours + shade * astray, rng.uniform(0.1, 0.9, (count, 1))], axis=1)
    return np.rint(np.clip(load, 0, 1) * 255).astype(int)


def _busy(base: canvas.Paint, width: float) -> canvas.Plane:
    """How much a place holds that a brush of this width cannot show."""
    lost = cv2.transform(np.abs(base - canvas.blur(base, width)), np.full((1, 3), 1 / 3, np.float32))
    return canvas.blur(lost, width)


def _sure(at: Flow, doubled: Flow, width: float) -> np.ndarray:
    """How sure the flow within a brush's width is, in [0, 1]; where it is not, noise turns a stroke: a short one."""
    half = at[0] // 2, at[1] // 2
    cosine, sine = (canvas.blur(plane[::2, ::2], 0.35 * width)[half] for plane in doubled)
    return canvas.smoothstep(0.0, 0.8, np.hypot(cosine, sine))


def _seeds(shape: tuple[int, ...], spacing: float, rng: np.random.Generator) -> Flow:
    rows, columns = np.meshgrid(np.arange(0, shape[0], spacing), np.arange(0, shape[1], spacing), indexing="ij")
    rows = rows.ravel() + rng.uniform(-0.5, 0.5, rows.size) * spacing
    columns = columns.ravel() + rng.uniform(-0.5, 0.5, columns.size) * spacing
    return np.clip(rows, 0, shape[0] - 1).astype(int), np.clip(columns, 0, shape[1] - 1).astype(int)


def _paths(at: Flow, flow: Flow, reach: np.ndarray) -> np.ndarray:
    """The joints (x, y) of each stroke, at most `reach` apart along the flow both ways: (strokes, joints, 2)."""
    (rows, columns), (height, breadth) = at, flow[0].shape
    halves = []
    for sign in (-1.0, 1.0):
        x, y = columns.astype(np.float64), rows.astype(np.float64)
        vx, vy = sign * flow[0][rows, columns], sign * flow[1][rows, columns]
        joints = []
        for _ in range(_JOINTS // 2):
            x, y = x + vx * reach, y + vy * reach
            joints.append(np.stack([x, y], axis=1))
            here = np.clip(y, 0, height - 1).astype(int), np.clip(x, 0, breadth - 1).astype(int)
            # The projection on the flow there: shorter where it turns, so that no side is chosen where it crosses.
            along = flow[0][here] * vx + flow[1][here] * vy
            vx, vy = flow[0][here] * along, flow[1][here] * along
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
