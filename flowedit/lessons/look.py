"""The one look of the lessons' figures: safe for colour-blind readers, quiet, and never without words.

The colours are those of Okabe and Ito (2008), which stay apart for all common kinds of colour blindness; every line
also differs by marker or dash.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from cycler import cycler
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowedit.errors import SettingError

COLOURS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "gold": "#E69F00",
    "ink": "#222222",
    "grey": "#8A8A8A",
}
"""Colours by name; `grey` is for references and bounds."""

_LINES = ["blue", "orange", "green", "purple", "gold", "sky"]
_DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))]
_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": COLOURS["grey"],
    "axes.grid": True,
    "axes.labelcolor": COLOURS["ink"],
    "axes.prop_cycle": cycler(color=[COLOURS[name] for name in _LINES], linestyle=_DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.alpha": 0.25,
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "savefig.dpi": 110,
}


def use_house_style() -> None:
    """Give every figure made from now on the house look."""
    mpl.rcParams.update(_STYLE)


def figure(columns: int = 1, rows: int = 1, *, height: float = 3.0, **options: Any) -> tuple[Figure, Any]:  # noqa: ANN401 - matplotlib's own
    """A figure as wide as a notebook's text, and its axes as `matplotlib.pyplot.subplots` gives them.

    Args:
        columns: axes side by side.
        rows: axes one below the other.
        height: inches per row.
        **options: for `matplotlib.pyplot.subplots`.
    """
    return plt.subplots(rows, columns, figsize=(8.4, height * rows), **options)


def show(fig: Figure, alt: str = "") -> None:
    """Show a figure as one picture with its words, and close it.

    Args:
        fig: the figure.
        alt: what it shows, for who cannot see it; by default its titles, axes and legend in words.

    Raises:
        SettingError: words too short to stand for a picture.
    """
    alt = alt or words_of(fig)
    if len(alt.split()) < 5:
        raise SettingError(f"The words for a picture are {alt!r}; say in a sentence what it shows.")
    _fit_titles(fig)
    data, kind = _small(fig)
    plt.close(fig)
    display(Image(data, format=kind, alt=alt), metadata={f"image/{kind}": {"alt": alt}})


def _fit_titles(fig: Figure, least: float = 7.0) -> None:
    """Make titles smaller that would run past the figure's right edge, down to `least` points."""
    fig.draw_without_rendering()
    for ax in fig.axes:
        title = ax._left_title if ax.get_title(loc="left") else ax.title  # there is no public way to the left one
        while title.get_window_extent().x1 > fig.bbox.x1 and title.get_fontsize() > least:
            title.set_fontsize(title.get_fontsize() - 0.5)


def _small(fig: Figure) -> tuple[bytes, str]:
    """The figure as a small file: PNG with few colours for lines, JPEG where it shows photographs."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    picture = PIL.Image.open(buffer).convert("RGB")
    packed = io.BytesIO()
    if any(ax.images for ax in fig.axes):
        picture.save(packed, "JPEG", quality=82, optimize=True)
        return packed.getvalue(), "jpeg"
    picture.quantize(48, dither=PIL.Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue(), "png"


def words_of(fig: Figure) -> str:
    """A figure in words: every panel's title, what its axes measure, and the entries of its legend."""
    panels = []
    for ax in fig.axes:
        legend = ax.get_legend()
        entries = [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())] if legend else []
        axes = [f"{name}: {label}" for name, label in (("across", ax.get_xlabel()), ("up", ax.get_ylabel())) if label]
        title = ax.get_title(loc="left") or ax.get_title()
        parts = [title, *axes, *(entry for entry in entries if entry)]
        panels.append("; ".join(part for part in parts if part))
    return "Figure. " + ". ".join(panel for panel in [fig.get_suptitle(), *panels] if panel) + "."


def contact(
    clips: Mapping[str, np.ndarray], frames: Sequence[int], *, marks: Sequence[int] = (), height: float = 0.0
) -> tuple[Figure, np.ndarray]:
    """Frames of several clips as a grid: one row per clip, one column per frame.

    Args:
        clips: name to uint8 (F, H, W, 3).
        frames: pixel indices of the columns.
        marks: keyframes; their columns are titled so.
        height: inches per row; by default what the frames' aspect asks for.

    Returns:
        The figure and its axes, (clips, frames).
    """
    rows, columns = len(clips), len(frames)
    first = next(iter(clips.values()))
    row_height = height or 8.0 / columns * first.shape[1] / first.shape[2] + 0.12
    fig, axes = plt.subplots(rows, columns, figsize=(8.4, row_height * rows + 0.25), squeeze=False)
    for row, (name, clip) in zip(axes, clips.items(), strict=True):
        for ax, index in zip(row, frames, strict=True):
            _picture(ax, clip[index])
        row[0].set_ylabel(name, fontsize=9)
    for ax, index in zip(axes[0], frames, strict=True):
        ax.set_title(f"keyframe {index}" if index in marks else f"frame {index}", fontsize=8, loc="center")
    return fig, axes


def _picture(ax: Axes, image: np.ndarray) -> None:
    ax.imshow(image)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
