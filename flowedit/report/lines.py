"""The readings of a run over sigma, as SVG text: nothing has to be imported to draw a few lines."""

import html
import math
from itertools import cycle

import numpy as np

from flowedit.trace import Trace

PANELS = {
    "gap_norm": "gap to the keyframe (relative)",
    "r_k_norm": "residual r_k (rms)",
    "v_diff_norm": "velocity difference (rms)",
}
_WIDTH, _HEIGHT = 330, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 30, 38
_LOOKS = (
    ("#0072b2", "none"),
    ("#d55e00", "6 3"),
    ("#009e73", "2 3"),
    ("#cc79a7", "9 3 2 3"),
    ("#8a6d00", "1 2"),
)
"""Colour and dash of each keyframe's line: either tells them apart."""
_PER_ROW = 6
"""Names in a row of the legend."""


def readings_plot(trace: Trace) -> str:
    """Three panels over sigma, noise at the left: one line per keyframe, a marker per step, zero at the bottom.

    A keyframe without a finite reading has no line; it is named as having nothing to measure.

    Args:
        trace: with at least one step and one keyframe.

    Returns:
        An SVG element with a text alternative.
    """
    panels = "".join(
        f'<g transform="translate({i * _WIDTH} 0)">{_panel(trace.array(reading), trace.sigmas, title)}</g>'
        for i, (reading, title) in enumerate(PANELS.items())
    )
    names = "".join(_name(trace, k, index) for k, index in enumerate(trace.keyframes))
    rows = math.ceil(len(trace.keyframes) / _PER_ROW)
    words = "Gap, residual and velocity difference per keyframe against sigma"
    return (
        f'<svg role="img" aria-label="{words}" viewBox="0 0 {len(PANELS) * _WIDTH} {_HEIGHT + 20 * rows}" '
        f'font-size="12" fill="currentColor">{panels}{names}</svg>'
    )


def readings_table(trace: Trace) -> str:
    """The last step's readings as a table: a row a keyframe.

    Args:
        trace: with at least one step and one keyframe.

    Returns:
        An HTML table; a reading that is not finite is "nothing to reach".
    """
    head = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in PANELS.values())
    values = np.stack([trace.array(reading)[-1] for reading in PANELS], axis=1)
    rows = "".join(
        f"<tr><th scope='row'>frame {index}</th>{''.join(f'<td>{_number(value)}</td>' for value in row)}</tr>"
        for index, row in zip(trace.keyframes, values.tolist(), strict=True)
    )
    return f"<table><tr><td></td>{head}</tr>{rows}</table>"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "nothing to reach"


def _panel(values: np.ndarray, sigmas: np.ndarray, title: str) -> str:
    """One reading (steps, keyframes) with its axes."""
    top = float(np.nanmax(values, initial=0.0)) or 1.0
    span = float(sigmas[0] - sigmas[-1]) or 1.0
    across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (sigmas[0] - sigmas) / span
    up = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * values / top
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    ends = {_LEFT: sigmas[0], right: sigmas[-1]} if len(sigmas) > 1 else {_LEFT: sigmas[0]}
    return (
        f'<path d="M{_LEFT} {_TOP}V{floor}H{right}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
        + _text((_LEFT + right) / 2, 18, title)
        + _text((_LEFT + right) / 2, _HEIGHT - 6, "sigma (noise to data)")
        + "".join(_text(x, floor + 14, f"{sigma:.3g}") for x, sigma in ends.items())
        + _text(_LEFT - 4, _TOP + 5, f"{top:.3g}", anchor="end")
        + _text(_LEFT - 4, floor + 4, "0", anchor="end")
        + "".join(_curve(across, y, look) for y, look in zip(up.T, cycle(_LOOKS), strict=False))
    )


def _curve(across: np.ndarray, up: np.ndarray, look: tuple[str, str]) -> str:
    """A line through the finite points, which are marked."""
    points = [(x, y) for x, y in zip(across.tolist(), up.tolist(), strict=True) if math.isfinite(y)]
    colour, dash = look
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dash}"/>{marks}'
    )


def _name(trace: Trace, k: int, index: int) -> str:
    """The legend's entry of one keyframe."""
    colour, dash = _LOOKS[k % len(_LOOKS)]
    x, y = _LEFT + 155 * (k % _PER_ROW), _HEIGHT + 12 + 20 * (k // _PER_ROW)
    nothing = "" if np.isfinite(trace.array("gap_norm")[:, k]).any() else " (nothing to reach)"
    return f'<path d="M{x} {y - 4}h24" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dash}"/>' + _text(
        x + 30, y, f"frame {index}{nothing}", anchor="start"
    )


def _text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{html.escape(words)}</text>'
