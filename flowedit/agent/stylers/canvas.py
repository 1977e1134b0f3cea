"""What the looks are painted with: edge-aware smoothing, flow along contours, ink lines.

No statistic of one picture steers a function: what must be measured comes from the clip's master measures. Pictures are
float32 RGB in [0, 1], planes float32 (H, W), lengths pixels.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.agent.card import Measures
from flowedit.agent.colour import to_lab

Paint = Float32[np.ndarray, "H W 3"]
Plane = Float32[np.ndarray, "H W"]

_COARSE = 2.0
"""Smoothing, in pixels, from which half the size is enough to compute it at."""


def triple(first: float, second: float, third: float) -> Float32[np.ndarray, " 3"]:
    """Three channels of one colour, RGB or Lab."""
    return np.array([first, second, third], np.float32)


def scale_of(image: np.ndarray) -> float:
    """The size of one brush unit: 1 for a 720-line picture, never below 0.3 so that a thumbnail keeps its marks."""
    return max(0.3, min(image.shape[:2]) / 720)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; a wide one is done at lower resolution, where it costs little and looks the same."""
    factor = int(sigma // 4)
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
    """`first` where the weight is 0, `second` where it is 1; either may be one colour for all places."""
    if isinstance(weight, np.ndarray) and weight.ndim == 2 and first.ndim != 2:
        weight = weight[..., None]
    return (first + (second - first) * weight).astype(np.float32)


def screen(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Light added to light: never darker than either, never above 1."""
    return (1 - (1 - np.clip(first, 0, 1)) * (1 - np.clip(second, 0, 1))).astype(np.float32)


def tone(lightness: Plane, master: Measures) -> Plane:
    """Lightness L in [0, 100] to [0, 1] between the clip's own black and white, the same for every keyframe."""
    black, white = master.tones[0], master.tones[-1]
    return np.clip((lightness - black) / max(white - black, 20.0), 0, 1).astype(np.float32)


def flatten(paint: Paint, *, radius: float, contrast: float, rounds: int) -> Paint:
    """Repeated bilateral filtering over `radius` pixels: areas go flat, differences well above `contrast` stay."""
    small, reach = paint, radius
    if radius > _COARSE:
        small, reach = halved(paint), radius / 2
    flat = small
    for _ in range(rounds):
        flat = cv2.bilateralFilter(flat, int(2 * round(reach) + 1), contrast, reach, borderType=cv2.BORDER_REFLECT)
    return flat if small is paint else paint + resized(flat - small, paint.shape)


def contour_flow(
    lightness: Plane, sigma: float, master: Measures, rest: Plane | float = -np.pi / 4
) -> tuple[Plane, Plane, Plane]:
    """Unit vectors (x, y) along the contours, and how clear the direction is, in [0, 1]; see `doubled_flow`."""
    cosine, sine, clarity = doubled_flow(lightness, sigma, master, rest)
    return *undoubled(cosine, sine), clarity


def doubled_flow(
    lightness: Plane, sigma: float, master: Measures, rest: Plane | float = -np.pi / 4
) -> tuple[Plane, Plane, Plane]:
    """The direction along the contours as vectors of twice the angle, and how clear it is, in [0, 1].

    Directions have no sign, so they are averaged and blended so, and halved at the end. They are at most 1 long, and
    short where contour and rest disagree and noise decides.

    Contours well below the clip's edge strength do not count: `sigma` smooths their structure tensor, and `rest` is the
    angle where there is none, fixed in the picture, for noise must not steer a brush.
    """
    unit = lightness / np.float32(100)
    dx, dy = cv2.Scharr(unit, cv2.CV_32F, 1, 0, scale=1 / 16), cv2.Scharr(unit, cv2.CV_32F, 0, 1, scale=1 / 16)
    tensor = cv2.merge([dx * dx, dx * dy, dy * dy])
    if sigma >= _COARSE:
        tensor, sigma = halved(tensor), sigma / 2
    xx, xy, yy = cv2.split(blur(tensor, sigma))
    cosine, sine = yy - xx, -2 * xy
    strength = cv2.magnitude(cosine, sine)
    clarity = strength / (strength + np.float32((0.15 * master.edge) ** 2))
    share = clarity / np.maximum(strength, np.float32(1e-20))
    rest = np.float32(2) * resized(np.asarray(rest, np.float32), clarity.shape)
    cosine = cosine * share + (1 - clarity) * np.cos(rest)
    sine = sine * share + (1 - clarity) * np.sin(rest)
    cosine, sine, clarity = (resized(plane, lightness.shape) for plane in (cosine, sine, clarity))
    return cosine, sine, clarity


def undoubled(cosine: Plane, sine: Plane) -> tuple[Plane, Plane]:
    """Unit vectors (x, y) of half the angle."""
    cosine = np.clip(cosine / np.maximum(cv2.magnitude(cosine, sine), np.float32(1e-6)), -1, 1)
    return np.sqrt((1 + cosine) / 2), np.copysign(np.sqrt((1 - cosine) / 2), sine)


def resized(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The picture or plane at the height and width of `shape`: by area where it shrinks; a single number stays one."""
    if image.ndim == 0 or image.shape[:2] == shape[:2]:
        return image
    way = cv2.INTER_AREA if shape[0] < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, (shape[1], shape[0]), interpolation=way)


def halved(image: np.ndarray) -> np.ndarray:
    """The picture at half its size, rounded up."""
    return resized(image, ((image.shape[0] + 1) // 2, (image.shape[1] + 1) // 2))


def grid(shape: tuple[int, ...]) -> tuple[Plane, Plane]:
    """Column and row of each place."""
    rows, columns = np.indices(shape[:2], dtype=np.float32)
    return columns, rows


def displace(image: np.ndarray, dx: np.ndarray | float, dy: np.ndarray | float) -> np.ndarray:
    """The picture read at each place moved by (dx, dy) pixels."""
    x, y = grid(image.shape)
    return cv2.remap(image, x + np.float32(dx), y + np.float32(dy), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def along(image: np.ndarray, flow: tuple[Plane, Plane], length: float, *, steps: int = 5) -> np.ndarray:
    """Average along the flow lines, `steps` samples over `length` pixels to each side (line integral convolution)."""
    columns, rows = grid(image.shape)
    total, weight = image.astype(np.float32).copy(), 1.0
    at_x, at_y, seen = np.empty_like(columns), np.empty_like(rows), np.empty_like(total)
    for k, dx, dy in _walk(flow, length / steps, steps):
        share = float(np.exp(-2.0 * (k / steps) ** 2))
        np.add(columns, dx, out=at_x)
        np.add(rows, dy, out=at_y)
        cv2.remap(image, at_x, at_y, cv2.INTER_LINEAR, seen, cv2.BORDER_REFLECT)
        cv2.scaleAdd(seen, share, total, total)
        weight += share
    return total / np.float32(weight)


def _walk(flow: tuple[Plane, Plane], step: float, steps: int) -> Iterator[tuple[int, Plane, Plane]]:
    """How far a walk along the flow has come from each pixel after 1 to `steps` steps one way, then the other.

    The way is walked for every second pixel in each direction; its neighbours go beside it.
    """
    size = flow[0].shape[::-1]
    half_x, half_y = (np.ascontiguousarray(plane[::2, ::2]) for plane in flow)
    columns, rows = grid(half_x.shape)
    for signed in (np.float32(step), np.float32(-step)):
        x, y = signed * half_x, signed * half_y
        dx, dy = x, y
        for k in range(1, steps + 1):
            full_x, full_y = (cv2.resize(away, size, interpolation=cv2.INTER_NEAREST) for away in (dx, dy))
            yield k, full_x, full_y
            if k == steps:
                break
            at = columns + dx / 2, rows + dy / 2
            ahead_x, ahead_y = (
                cv2.remap(half, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for half in (half_x, half_y)
            )
            turn = np.copysign(np.float32(step), ahead_x * x + ahead_y * y)
            x, y = ahead_x * turn, ahead_y * turn
            dx, dy = dx + x, dy + y


def ink_lines(lightness: Plane, master: Measures, *, width: float, amount: float, flow_length: float) -> Plane:
    """Dark contour lines: a difference of Gaussians, smoothed along the contours, thresholded alike in all keyframes.

    After Kang, Lee, Chui, "Coherent line drawing" (2007) and Winnemoeller, "XDoG" (2011). `width` is the standard
    deviation of a line's profile; of `amount` 1 draws the main contours, 2 adds fine ones.
    """
    unit, width = lightness / np.float32(100), max(width, 0.65)
    edge = blur(unit, 1.6 * width) - blur(unit, width)
    edge = along(edge, contour_flow(lightness, 2.5 * width, master)[:2], flow_length, steps=4)
    level = np.float32(0.30 * master.edge / amount)
    return blur(smoothstep(float(0.35 * level), float(1.6 * level), edge), 0.6)  # so that a line's rim has no steps


def all_lines(lab: Paint, master: Measures, amounts: tuple[float, float], share: float, **lines: float) -> Plane:
    """`ink_lines` where the lightness changes, and at a share of their strength where the colourfulness does."""
    by_light = ink_lines(lab[..., 0], master, amount=amounts[0], **lines)
    by_colour = ink_lines(100 - np.hypot(lab[..., 1], lab[..., 2]), master, amount=amounts[1], **lines)
    return np.maximum(by_light, share * by_colour)


def brushed(paint: Paint, master: Measures, radius: float) -> Paint:
    """A Kuwahara filter over eight soft, flow-aligned sectors: each place takes the calmest of its surroundings.

    After Kyprianidis, Kang, Doellner, "Image and video abstraction by anisotropic Kuwahara filtering" (2009).
    """
    x, y, clarity = contour_flow(to_lab(paint)[..., 0], max(1.0, 0.6 * radius), master)
    mean = blur(paint, 0.55 * radius)
    square = blur(paint * paint, 0.55 * radius)
    spread = cv2.transform(square - mean * mean, np.ones((1, 3), np.float32))
    field = np.dstack([mean, np.maximum(spread, 0)])
    reach_along, reach_across = radius * (1 + 0.6 * clarity), radius * (1 - 0.35 * clarity)
    lengthwise, crosswise = (reach_along * x, reach_along * y), (-reach_across * y, reach_across * x)
    total, weights = np.zeros_like(field), np.zeros_like(x)
    columns, rows = grid(paint.shape)
    # One set of buffers for all sectors: fresh memory of this size costs a third of the time.
    at_x, at_y, calm, near, shares = (np.empty_like(kind) for kind in (columns, rows, rows, field, field))
    for angle in np.arange(8) * np.pi / 4:
        for at, start, along_flow, across in zip((at_x, at_y), (columns, rows), lengthwise, crosswise, strict=True):
            cv2.scaleAdd(along_flow, np.cos(angle), start, at)
            cv2.scaleAdd(across, np.sin(angle), at, at)
        cv2.remap(field, at_x, at_y, cv2.INTER_LINEAR, near, cv2.BORDER_REFLECT)
        # The weight of a sector is the inverse cube of its spread of colours, finite where there is none.
        np.add(cv2.extractChannel(near, 3, calm), np.float32(4e-4), out=calm)
        cv2.pow(calm, -3, calm)
        cv2.accumulateProduct(near, cv2.merge([calm] * 4, shares), total)
        weights += calm
    return cv2.merge([plane / weights for plane in cv2.split(total)[:3]])


def draw_path(plane: UInt8[np.ndarray, "H W"], points: np.ndarray, value: int, width: int) -> None:
    """Draw an open line through `points` (x, y) onto `plane` in place, smooth-rimmed, to an eighth of a pixel."""
    eighths = np.rint(points * 8).astype(np.int32)
    cv2.polylines(plane, [eighths], isClosed=False, color=value, thickness=width, lineType=cv2.LINE_AA, shift=3)
