"""The figures of results, plain matplotlib: readings over sigma, frames beside their edit.

Lines differ by dash and marker as well as by colour; the colours are those of Okabe and Ito (2008).
"""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

RULE = 0.01
"""The rule of thumb in circulation for `r_k`."""

_LINES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#56B4E9", (0, (5, 1)), "v"),
)


class Shown(Figure):
    """A figure that a notebook shows even where pyplot, which would teach it to, was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def drift_figure(offsets: np.ndarray, keyframes: Sequence[int]) -> Shown:
    """Mean colour of an edit minus its source's over frames, (F, 3) in 8-bit levels, keyframes marked."""
    with rc_context({"font.size": 10}):
        figure = Shown(figsize=(10.5, 2.4), layout="constrained")
        axis = figure.subplots()
    for name, values, (_, dash, _) in zip(("red", "green", "blue"), offsets.T, _LINES, strict=False):
        axis.plot(values, label=name, color=name, linestyle=dash, linewidth=1.2)
    for keyframe in keyframes:
        axis.axvline(keyframe, color="0.6", linewidth=1, linestyle=":")
    axis.set_xlabel("frame (dotted: keyframes)")
    axis.set_ylabel("levels")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.25)
    return figure


def readings_figure(panels: Mapping[str, np.ndarray], sigmas: np.ndarray, keyframes: Sequence[int]) -> Shown:
    """A panel per reading over sigma, noise at the left, with a line per keyframe; the second is the residual's.

    `panels` holds each panel's values (steps, keyframes) by its label, NaN a hole; `sigmas` where each step began.
    """
    with rc_context({"axes.titlesize": 10, "axes.titleweight": "normal", "font.size": 10}):
        figure = Shown(figsize=(10.5, 3.2), layout="constrained")
        if not len(sigmas) or not len(keyframes):
            figure.text(0.5, 0.5, "No step at any keyframe was recorded.", ha="center")
            return figure
        axes = figure.subplots(1, len(panels), sharex=True)
    for axis, (label, values) in zip(axes, panels.items(), strict=True):
        for keyframe, line, (colour, dash, marker) in zip(keyframes, values.T, cycle(_LINES), strict=False):
            name = f"frame {keyframe}" + ("" if np.isfinite(line).any() else " (nothing to measure)")
            look = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 3, "linewidth": 1.2}
            axis.plot(sigmas, line, label=name, **look)
        axis.set_xlabel("sigma (noise to data)")
        axis.set_title(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.25)
    axes[0].invert_xaxis()
    rule = axes[1].axhline(RULE, color="0.4", linewidth=1, linestyle=(0, (8, 4)))
    axes[1].legend([rule], [f"{RULE}, a rule of thumb"], fontsize=8)
    axes[0].legend(fontsize=8)
    return figure


def strip_figure(rows: Mapping[str, Mapping[int, np.ndarray]], shown: Sequence[int]) -> Shown:
    """Pictures, uint8 (H, W, 3), in rows by name and in a column for each frame `shown`; one without stays empty."""
    height, width = next(iter(next(iter(rows.values())).values())).shape[:2]
    side = 2.1  # inches
    figure = Shown(figsize=(side * len(shown) + 0.3, (side * height / width + 0.08) * len(rows) + 0.3))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
    grid = figure.subplots(len(rows), len(shown), squeeze=False)
    for line, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axis, index in zip(line, shown, strict=True):
            _show(axis, pictures.get(index))
        line[0].set_ylabel(name, fontsize=10)
    for axis, index in zip(grid[0], shown, strict=True):
        axis.set_title(f"frame {index}", fontsize=10)
    return figure


def _show(axis: Axes, picture: np.ndarray | None) -> Axes:
    if picture is not None:
        axis.imshow(picture, interpolation="antialiased")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    return axis
