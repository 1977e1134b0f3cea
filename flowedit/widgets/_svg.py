"""Static line plots as SVG text: the picture that a widget shows where no script runs."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from flowedit.frames import group_of, slot_count, slot_of

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 260, 64, 16, 32, 44
_COLOURS = ("#0a6c8f", "#ad4518", "#6b6b6b", "#2b7338")
_PER_NAME = 180

Place = Callable[[int, float], tuple[float, float]]


class Line(NamedTuple):
    """One curve: its name, its values at 0, 1, 2, ..., and the dash pattern that tells it apart without colour."""

    name: str
    values: Sequence[float]
    dash: str = "none"


def line_plot(lines: Sequence[Line], *, x_label: str, y_label: str) -> str:
    """Curves over their index on a white card, with axes and a legend; values that are not finite are left out.

    Args:
        lines: up to four curves.
        x_label: name of the horizontal axis.
        y_label: name of the vertical axis.

    Returns:
        The text of an SVG picture.
    """
    finite = [value for line in lines for value in line.values if math.isfinite(value)]
    low, high = min(0.0, *finite, 0.0), max(0.0, *finite, 0.0)
    high = high if high > low else low + 1
    count = max((len(line.values) for line in lines), default=1)

    def place(index: int, value: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * index / max(count - 1, 1)
        return x, _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    curves = [_curve(line, colour, place) for line, colour in zip(lines, _COLOURS, strict=False)]
    names = [_name(line, colour, i) for i, (line, colour) in enumerate(zip(lines, _COLOURS, strict=False))]
    body = (
        f"{_axes(place, {low, 0.0, high}, count)}{_label((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_label)}"
        f'<g transform="translate(14 {_HEIGHT / 2:.0f}) rotate(-90)">{_label(0, 0, y_label)}</g>'
        f"{''.join(curves + names)}"
    )
    return _card(_WIDTH, _HEIGHT, body)


def scatter_plot(clouds: Mapping[str, np.ndarray]) -> str:
    """Clouds of points in the plane on a white card, both axes to one scale, with a legend.

    Args:
        clouds: name to points (n, 2); up to four. Points that are not finite are left out.

    Returns:
        The text of an SVG picture.
    """
    side = 340
    good = {name: points[np.isfinite(points).all(axis=1)] for name, points in clouds.items()}
    reach = max((float(np.abs(points).max()) for points in good.values() if len(points)), default=1.0) * 1.05
    parts = []
    for position, ((name, points), colour) in enumerate(zip(good.items(), _COLOURS, strict=False)):
        places = (points * [1, -1] / reach + 1) * side / 2 + [8, 28]
        mark = "{:.1f} {:.1f}m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0"
        path = "".join("M" + mark.format(x, y) for x, y in places.tolist())
        filled = f'fill="{colour}" fill-opacity="0.7"' if position % 2 else f'fill="none" stroke="{colour}"'
        parts.append(f'<path d="{path}" {filled}/><circle cx="{18 + 110 * position}" cy="14" r="4" {filled}/>')
        parts.append(f'<text x="{28 + 110 * position}" y="18">{html.escape(name)}</text>')
    return _card(side + 16, side + 36, "".join(parts))


def slots_plot(num_frames: int, keyframes: Sequence[int]) -> str:
    """Frames in rows of eight slots, one box per slot, keyframes filled and colliding ones crossed.

    Args:
        num_frames: frames of the clip, `4n + 1`.
        keyframes: pixel indices.
    """
    per_row, cell, gap = 8, 20, 10
    places = {}
    parts = []
    for slot in range(slot_count(num_frames)):
        left, top = 12 + slot % per_row * (4 * cell + gap), 12 + slot // per_row * 52
        group = group_of(slot)
        width = cell * len(group)
        parts.append(f'<rect x="{left}" y="{top + 14}" width="{width}" height="{cell}" fill="#eef3f5" stroke="#888"/>')
        parts.append(_label(left, top + 10, f"slot {slot}", "start"))
        places |= {frame: (left + cell * i, top + 14) for i, frame in enumerate(group)}
    for frame in sorted({frame for frame in keyframes if frame in places}):
        left, top = places[frame]
        clash = sum(slot_of(other) == slot_of(frame) for other in set(keyframes)) > 1
        parts.append(
            f'<rect x="{left}" y="{top}" width="{cell}" height="{cell}" fill="{"#b3261e" if clash else "#ad4518"}"/>'
        )
        if clash:
            parts.append(f'<path d="M{left} {top}l{cell} {cell}m0-{cell}l-{cell} {cell}" stroke="#fff"/>')
    parts += [
        f'<text x="{x + cell / 2}" y="{y + 14}" font-size="10" text-anchor="middle" '
        f'fill="{"#fff" if frame in keyframes else "#222"}">{frame}</text>'
        for frame, (x, y) in places.items()
    ]
    height = 52 * -(-slot_count(num_frames) // per_row) + 12
    return _card(12 + per_row * (4 * cell + gap), height, "".join(parts))


def progress_plot(share: float, words: str) -> str:
    """A progress bar with its words.

    Args:
        share: how much is done, in [0, 1].
        words: said under the bar.
    """
    width = 320 * min(max(share, 0.0), 1.0)
    bar = '<rect x="8" y="10" width="320" height="10" rx="5" fill="#ddd"/>'
    done = f'<rect x="8" y="10" width="{width:.1f}" height="10" rx="5" fill="{_COLOURS[0]}"/>'
    return _card(336, 48, bar + done + _label(8, 38, words, "start"))


def _card(width: float, height: float, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" font-size="12" fill="#222">'
        f'<rect width="100%" height="100%" rx="6" fill="#fff"/>{body}</svg>'
    )


def _curve(line: Line, colour: str, place: Place) -> str:
    points = [place(i, value) for i, value in enumerate(line.values) if math.isfinite(value)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" {_stroke(line, colour)}/>'


def _name(line: Line, colour: str, position: int) -> str:
    left = _LEFT + _PER_NAME * position
    return (
        f'<path d="M{left} 13h28" {_stroke(line, colour)}/><text x="{left + 34}" y="17">{html.escape(line.name)}</text>'
    )


def _stroke(line: Line, colour: str) -> str:
    return f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{line.dash}"'


def _axes(place: Place, values: set[float], count: int) -> str:
    parts = []
    for value in sorted(values):
        x, y = place(0, value)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ccc"/>')
        parts.append(_label(x - 8, y + 4, f"{value:.3g}", "end"))
    parts += [_label(place(i, 0.0)[0], _HEIGHT - 26, str(i)) for i in sorted({0, count - 1})]
    return "".join(parts)


def _label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
