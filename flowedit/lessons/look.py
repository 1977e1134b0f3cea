"""The one look of the lessons' figures: safe for colour-blind readers, quiet, and never without words."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowedit.errors import SettingError

WIDTH = 8.4  # inches: as wide as a notebook's text
_SMALL_FRAME, _BESIDE = 1.15, {"rotation": 0, "ha": "right", "va": "center"}


def figure(columns: int = 1, *, height: float = 3.0, **options: Any) -> tuple[Figure, Any]:  # noqa: ANN401 - matplotlib's own
    """A figure as wide as a notebook's text, `height` inches high, and its axes as `pyplot.subplots` gives them."""
    return plt.subplots(1, columns, figsize=(WIDTH, height), **options)


def contact(
    clips: Mapping[str, np.ndarray], frames: Sequence[int], *, marks: Sequence[int] = (), wide: bool = False
) -> tuple[Figure, np.ndarray]:
    """Frames of several clips, uint8 (F, H, W, 3), as a grid: the figure and its axes, (clips, frames).

    Names are written at the left, upwards or, if `wide`, as a line beside small frames; `marks` are keyframes.
    """
    height, width = next(iter(clips.values()))[0].shape[:2]
    across = _SMALL_FRAME if wide else 8.0 / len(frames)
    row_height = across * height / width + 0.12
    size = across * len(frames) + 1.6 if wide else WIDTH, row_height * len(clips) + 0.25
    fig, axes = plt.subplots(len(clips), len(frames), figsize=size, squeeze=False)
    for row, (name, clip) in zip(axes, clips.items(), strict=True):
        for ax, index in zip(row, frames, strict=True):
            ax.imshow(clip[index])
            bare(ax)
        row[0].set_ylabel(name, fontsize=9, **(_BESIDE if wide else {}))
    for ax, index in zip(axes[0], frames, strict=True):
        ax.set_title(f"keyframe {index}" if index in marks else f"frame {index}", fontsize=8, loc="center")
    return fig, axes


def bare(ax: Axes) -> None:
    """Take ticks, grid and frame from a picture's axes."""
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def show(fig: Figure, alt: str = "") -> None:
    """Show a figure as one picture and close it; `alt` says what it shows, by default its titles, axes and legend.

    Raises:
        SettingError: words too short to stand for a picture.
    """
    alt = alt or _words_of(fig)
    if len(alt.split()) < 5:
        raise SettingError(f"The words for a picture are {alt!r}; say in a sentence what it shows.")
    data, kind = _packed(fig)
    plt.close(fig)
    drawn = {"needs_background": "light"} if kind == "png" else {}  # the cards' style turns these dark with the theme
    display(Image(data, format=kind, alt=alt), metadata={f"image/{kind}": {"alt": alt}, **drawn})


def _packed(fig: Figure) -> tuple[bytes, str]:
    """The figure as a small file and its kind: PNG with few colours for lines, JPEG where it shows photographs."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, format="png")
    picture = PIL.Image.open(drawn).convert("RGB")
    if any(ax.images for ax in fig.axes):
        picture.save(packed, "JPEG", quality=60, optimize=True)
        return packed.getvalue(), "jpeg"
    picture.quantize(48, dither=PIL.Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue(), "png"


def _words_of(fig: Figure) -> str:
    """A figure in words: every panel's title, what its axes measure, and the entries of its legend."""
    panels = []
    for ax in fig.axes:
        legend = ax.get_legend()
        entries = [legend.get_title(), *legend.get_texts()] if legend else []
        across, up = ax.get_xlabel(), ax.get_ylabel()
        words = [ax.get_title(loc="left") or ax.get_title(), across and f"across: {across}", up and f"up: {up}"]
        panels.append("; ".join(word for word in [*words, *(entry.get_text() for entry in entries)] if word))
    return "Figure. " + ". ".join(panel for panel in panels if panel) + "."
