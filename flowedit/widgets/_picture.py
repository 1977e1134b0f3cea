"""Static pictures for pages without a script: small SVG texts, each on its own white card that suits any theme."""

import base64
import html
import math
from collections.abc import Sequence

import numpy as np

_RAMP = np.array([[0, 34, 78], [35, 62, 108], [87, 93, 109], [124, 123, 120], [166, 157, 117], [211, 193, 100]])
_LEFT, _TOP, _CELL = 90, 26, 24


def image(svg: str, alternative: str) -> str:
    """An `<img>` of an SVG text with its text alternative."""
    data = base64.b64encode(svg.encode()).decode("ascii")
    return f'<img alt="{html.escape(alternative)}" src="data:image/svg+xml;base64,{data}" style="max-width:100%">'


def heat_svg(values: np.ndarray, columns: Sequence[object], rows: Sequence[str], title: str) -> str:
    """A heat map as SVG.

    Args:
        values: (rows, columns); what is not finite is drawn as an empty frame.
        columns: a label per column, thinned out when there are many.
        rows: a label per row.
        title: said above the map, with the range of the colours.
    """
    good = values[np.isfinite(values)]
    low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 1.0)
    cell = max(6.0, min(24.0, 640 / max(len(columns), 1)))
    parts = [_text(8, 16, f"{title}: dark {low:.3g}, light {high:.3g}", weight=600)]
    for r, row in enumerate(rows):
        y = _TOP + r * _CELL
        parts.append(_text(8, y + 16, row))
        parts += [
            _cell(_LEFT + c * cell, y, cell, _colour(value, low, high)) for c, value in enumerate(values[r].tolist())
        ]
    every = max(1, math.ceil(40 / cell))
    bottom = _TOP + len(rows) * _CELL + 14
    parts += [_text(_LEFT + c * cell, bottom, columns[c]) for c in range(0, len(columns), every)]
    return _card(_LEFT + len(columns) * cell + 20, bottom + 12, parts)


def bars_svg(names: Sequence[str], starts: Sequence[float], lengths: Sequence[float], title: str, unit: str) -> str:
    """Horizontal bars on one time axis as SVG: what ran when, and for how long."""
    end = max((s + d for s, d in zip(starts, lengths, strict=True)), default=0.0) or 1.0
    parts = [_text(8, 16, f"{title}: {end:.3g} {unit}", weight=600)]
    for i, (name, start, length) in enumerate(zip(names, starts, lengths, strict=True)):
        y = _TOP + i * _CELL
        parts.append(_text(8, y + 16, name))
        parts.append(_cell(170 + 480 * start / end, y, max(2.0, 480 * length / end), "#0a6c8f"))
        parts.append(_text(660, y + 16, f"{length:.3g} {unit}"))
    return _card(740, _TOP + len(names) * _CELL + 8, parts)


def _colour(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "none"
    place = (value - low) / (high - low or 1.0) * (len(_RAMP) - 1)
    red, green, blue = (round(float(np.interp(place, range(len(_RAMP)), _RAMP[:, c]))) for c in range(3))
    return f"rgb({red},{green},{blue})"


def _cell(x: float, y: float, width: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y + 2}" width="{max(width - 1, 1):.1f}" height="{_CELL - 4}" rx="2" fill="{fill}" '
        'stroke="#888" stroke-width="0.3"/>'
    )


def _text(x: float, y: float, text: object, weight: int = 400) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}">{html.escape(str(text))}</text>'


def _card(width: float, height: float, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" font-size="12" fill="#222">'
        f'<rect width="100%" height="100%" rx="6" fill="#fff"/>{body}</svg>'
    )
