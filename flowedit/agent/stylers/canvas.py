"""What the looks are painted with: colour spaces, edge-aware smoothing, flow along contours, ink lines and paper.

Every function is a pure function of its arguments: no statistic of one picture steers it (what must be measured comes
from the clip's `Master`), and every texture is drawn from a seed in the picture's own coordinates, so that the same
place in two keyframes gets the same grain. Pictures are float32 RGB in [0, 1], planes float32 (H, W), lengths pixels.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.agent.card import Master

Paint = Float32[np.ndarray, "H W 3"]
Plane = Float32[np.ndarray, "H W"]

_REFERENCE_HEIGHT = 720.0
_SMALLEST_SCALE = 0.3


def triple(first: float, second: float, third: float) -> Float32[np.ndarray, " 3"]:
    """Three channels of one colour, RGB or Lab."""
    return np.array([first, second, third], np.float32)


def to_paint(image: UInt8[np.ndarray, "H W c"]) -> Float32[np.ndarray, "H W c"]:
    """uint8 to float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def to_pixels(paint: Paint) -> UInt8[np.ndarray, "H W 3"]:
    """Float RGB, clipped to [0, 1] and rounded, to uint8."""
    return np.rint(np.clip(paint, 0, 1) * np.float32(255)).astype(np.uint8)


def scale_of(image: np.ndarray) -> float:
    """The size of one brush unit: 1 for a 720-line picture, never below 0.3 so that a thumbnail keeps its marks."""
    return max(_SMALLEST_SCALE, min(image.shape[:2]) / _REFERENCE_HEIGHT)


def to_lab(paint: Paint) -> Paint:
    """RGB in [0, 1] to CIE Lab: L in [0, 100], a and b about [-110, 110]."""
    return cv2.cvtColor(np.clip(paint, 0, 1), cv2.COLOR_RGB2Lab)


def from_lab(lab: Paint) -> Paint:
    """CIE Lab to RGB, clipped to [0, 1]."""
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB), 0, 1)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; a wide one is done at lower resolution, where it costs little and looks the same."""
    factor = int(sigma // 6)
    if factor < 2:
        return cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1), borderType=cv2.BORDER_REFLECT)
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth cubic ramp between (falling where `low > high`)."""
    u = np.clip((x - low) / (high - low), 0, 1)
    return (u * u * (3 - 2 * u)).astype(np.float32)


def mix(first: np.ndarray, second: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    """`first` where the weight is 0, `second` where it is 1; a plane of weights spreads over the channels."""
    if isinstance(weight, np.ndarray) and weight.ndim == 2 and first.ndim == 3:
        weight = weight[..., None]
    return (first + (second - first) * weight).astype(np.float32)


def screen(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Light added to light: never darker than either, never above 1."""
    return (1 - (1 - np.clip(first, 0, 1)) * (1 - np.clip(second, 0, 1))).astype(np.float32)


def tone(lightness: Plane, master: Master) -> Plane:
    """Lightness L in [0, 100] to [0, 1] between the clip's own black and white, the same for every keyframe."""
    black, white = master.tones[0], master.tones[-1]
    return np.clip((lightness - black) / max(white - black, 20.0), 0, 1).astype(np.float32)


def flatten(paint: Paint, *, radius: float, contrast: float, rounds: int) -> Paint:
    """Repeated bilateral filtering: areas go flat, contours stay.

    Args:
        paint: RGB.
        radius: spatial reach in pixels.
        contrast: differences in RGB (0 to 1) well below this one are smoothed away.
        rounds: how often; each round flattens more.
    """
    size = int(2 * round(radius) + 1)
    for _ in range(rounds):
        paint = cv2.bilateralFilter(paint, size, contrast, radius, borderType=cv2.BORDER_REFLECT)
    return paint


def contour_flow(
    lightness: Plane, sigma: float, master: Master, rest: Plane | float = -np.pi / 4
) -> tuple[Plane, Plane, Plane]:
    """Unit vectors along the contours, from the smoothed structure tensor, and how clear the direction is.

    Args:
        lightness: L in [0, 100].
        sigma: smoothing of the tensor in pixels.
        master: the clip's measures; contours well below its edge strength do not count.
        rest: angle in radians where there is no contour, fixed in the picture: noise must not steer a brush.

    Returns:
        (x, y, clarity): the direction, and its clarity in [0, 1].
    """
    unit = lightness / np.float32(100)
    dx, dy = cv2.Scharr(unit, cv2.CV_32F, 1, 0) / 16, cv2.Scharr(unit, cv2.CV_32F, 0, 1) / 16
    xx, xy, yy = blur(dx * dx, sigma), blur(dx * dy, sigma), blur(dy * dy, sigma)
    # Directions have no sign, so they are averaged and blended as vectors of twice the angle, and halved at the end.
    cosine, sine = yy - xx, -2 * xy
    strength = np.hypot(cosine, sine)
    clarity = strength / (strength + np.float32((0.15 * master.edge) ** 2))
    share = clarity / np.maximum(strength, np.float32(1e-20))
    rest = np.float32(2) * np.asarray(rest, np.float32)
    cosine = cosine * share + (1 - clarity) * np.cos(rest)
    sine = sine * share + (1 - clarity) * np.sin(rest)
    cosine = cosine / np.maximum(np.hypot(cosine, sine), np.float32(1e-6))
    x = np.sqrt(np.clip((1 + cosine) / 2, 0, 1))
    y = np.copysign(np.sqrt(np.clip((1 - cosine) / 2, 0, 1)), sine)
    return x.astype(np.float32), y.astype(np.float32), clarity.astype(np.float32)


def _grid(shape: tuple[int, ...]) -> tuple[Plane, Plane]:
    rows, columns = np.indices(shape[:2], dtype=np.float32)
    return columns, rows


def displace(image: np.ndarray, dx: np.ndarray | float, dy: np.ndarray | float) -> np.ndarray:
    """The picture read at each place moved by (dx, dy) pixels."""
    x, y = _grid(image.shape)
    return cv2.remap(image, x + np.float32(dx), y + np.float32(dy), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def along(image: np.ndarray, flow: tuple[Plane, Plane], length: float, *, steps: int = 5) -> np.ndarray:
    """Average along the flow lines, both ways (line integral convolution).

    Args:
        image: what to smear.
        flow: unit direction (x, y) at each pixel; its sign does not matter.
        length: reach to each side in pixels.
        steps: samples to each side.
    """
    step = np.float32(length / steps)
    total, weight = image.astype(np.float32).copy(), 1.0
    for sign in (1, -1):
        x, y = _grid(image.shape)
        vx, vy = sign * flow[0], sign * flow[1]
        for k in range(1, steps + 1):
            x, y = x + step * vx, y + step * vy
            share = float(np.exp(-2.0 * (k / steps) ** 2))
            total += share * cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            weight += share
            if k < steps:
                next_x = cv2.remap(flow[0], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
                next_y = cv2.remap(flow[1], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
                turn = np.where(next_x * vx + next_y * vy < 0, np.float32(-1), np.float32(1))
                vx, vy = next_x * turn, next_y * turn
    return (total / np.float32(weight)).astype(np.float32)


def ink_lines(lightness: Plane, master: Master, *, width: float, amount: float, flow_length: float) -> Plane:
    """Dark contour lines: a difference of Gaussians, smoothed along the contours, soft-thresholded.

    After Kang, Lee, Chui, "Coherent line drawing" (2007) and Winnemoeller, "XDoG" (2011).

    Args:
        lightness: L in [0, 100].
        master: the clip's measures; its edge strength sets the threshold for all keyframes alike.
        width: standard deviation of the line profile in pixels, about half the line's width.
        amount: how much is drawn; 1 is the main contours, 2 adds fine ones.
        flow_length: reach of the smoothing along the contour in pixels.

    Returns:
        Ink in [0, 1]: 0 is bare paper, 1 a full line.
    """
    unit = lightness / np.float32(100)
    width = max(width, 0.65)
    edge = blur(unit, 1.6 * width) - blur(unit, width)
    if flow_length > 0:
        x, y, _ = contour_flow(lightness, 2.5 * width, master)
        edge = along(edge, (x, y), flow_length, steps=4)
    level = np.float32(0.30 * master.edge / amount)
    return smoothstep(float(0.35 * level), float(1.6 * level), edge)


def brushed(paint: Paint, lightness: Plane, master: Master, radius: float) -> Paint:
    """A Kuwahara filter over eight soft, flow-aligned sectors: each place takes the calmest of its surroundings.

    After Kyprianidis, Kang, Doellner, "Image and video abstraction by anisotropic Kuwahara filtering" (2009).
    """
    x, y, clarity = contour_flow(lightness, max(1.0, 0.6 * radius), master)
    mean = blur(paint, 0.55 * radius)
    square = blur(paint * paint, 0.55 * radius)
    spread = np.clip((square - mean * mean).sum(axis=2), 0, None)
    reach_along, reach_across = radius * (1 + 0.6 * clarity), radius * (1 - 0.35 * clarity)
    total, weights = np.zeros_like(paint), np.zeros_like(lightness)
    field = np.dstack([mean, spread])
    columns, rows = _grid(paint.shape)
    for k in range(8):
        angle = k * np.pi / 4
        u, v = float(np.cos(angle)) * reach_along, float(np.sin(angle)) * reach_across
        at_x, at_y = columns + u * x - v * y, rows + u * y + v * x
        near = cv2.remap(field, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        weight = 1 / (np.float32(4e-4) + near[..., 3]) ** 3
        total += near[..., :3] * weight[..., None]
        weights += weight
    return (total / weights[..., None]).astype(np.float32)


def noise(shape: tuple[int, ...], size: float, seed: int) -> Plane:
    """Smooth noise in about [-1, 1] with features of `size` pixels, fixed by the seed."""
    height, width = shape[:2]
    rng = np.random.default_rng(seed)
    rows, columns = max(2, int(np.ceil(height / size)) + 1), max(2, int(np.ceil(width / size)) + 1)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 1.6, -1.5, 1.5)


def clouds(shape: tuple[int, ...], size: float, seed: int, octaves: int = 4) -> Plane:
    """Noise of several sizes on top of each other, coarse to fine, in about [-1, 1]."""
    total = np.zeros(shape[:2], np.float32)
    for k in range(octaves):
        total += noise(shape, max(1.0, size / 2**k), seed + 101 * k) * np.float32(0.55**k)
    return np.clip(total / 1.4, -1, 1).astype(np.float32)


def paper(shape: tuple[int, ...], scale: float, seed: int) -> Plane:
    """The tooth of a sheet of paper in about [-1, 1]: fine grain lit from the upper left."""
    height = clouds(shape, max(2.0, 7 * scale), seed, octaves=3)
    relief = blur(height - displace(height, 1.0, 1.0), 0.6)
    return np.clip(relief / max(float(relief.std()) * 2.2, 1e-6), -1, 1).astype(np.float32)


def vignette(shape: tuple[int, ...], strength: float) -> Plane:
    """1 at the centre, falling by `strength` to the corners."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return (1 - strength * smoothstep(0.5, 2.0, x * x + y * y)).astype(np.float32)


def draw_path(layers: UInt8[np.ndarray, "H W *c"], points: np.ndarray, value: int | list[int], width: int) -> None:
    """Draw an open line through `points` (x, y) onto `layers` in place, smooth-rimmed, to an eighth of a pixel."""
    eighths = np.rint(points * 8).astype(np.int32)
    cv2.polylines(layers, [eighths], isClosed=False, color=value, thickness=width, lineType=cv2.LINE_AA, shift=3)
