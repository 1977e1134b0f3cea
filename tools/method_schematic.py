"""The schematic of docs/method.md: from source and keyframes to the edited clip."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from flowedit.frames import slot_count, slots_of
from flowedit.lessons.look import COLOURS
from flowedit.methods.branches import shared_positions

FRAMES, KEYFRAMES = 33, (0, 16, 32)
Point = tuple[float, float]


def path() -> Figure:
    """Inputs at the top, the loop of steps in the middle, the edited clip at the bottom."""
    fig, ax = plt.subplots(figsize=(8.4, 7.9))
    ax.set(xlim=(0, 100), ylim=(-3, 100), xticks=[], yticks=[])
    ax.axis("off")
    _inputs(ax)
    _loop(ax)
    _output(ax)
    return fig


def _inputs(ax: Axes) -> None:
    _box(ax, (2, 91, 29, 8), "source clip", f"{FRAMES} frames", "sky")
    _box(ax, (35, 91, 29, 8), "styled keyframes", "at frames " + ", ".join(map(str, KEYFRAMES)), "gold")
    _box(ax, (68, 91, 30, 8), "classical estimate", "of both, with its confidence", "orange")
    _box(ax, (2, 77, 29, 8), "encode", r"$z_{src}$", "sky")
    _box(ax, (35, 77, 29, 8), "still / hold / delta", r"$z_{key}$, one frame a keyframe", "gold")
    _box(
        ax,
        (68, 73, 30, 12),
        "what the model is shown",
        "words; keyframe images, or\nestimate and confidence",
        "grey",
    )
    for x in (16.5, 49.5, 83):
        _arrow(ax, (x, 91), (x, 85))
    _arrow(ax, (64, 96), (68, 96))
    _arrow(ax, (62, 91), (70, 85))
    _arrow(ax, (29, 91), (37, 85))
    ax.text(34.8, 87.9, "delta", fontsize=9, color=COLOURS["ink"])
    ax.text(84.5, 87.9, "refine", fontsize=9, va="center", color=COLOURS["ink"])


def _loop(ax: Axes) -> None:
    ax.add_patch(Rectangle((0.5, 18.5), 99, 49, facecolor="none", edgecolor=COLOURS["grey"], linestyle=(0, (4, 3))))
    ax.text(91.5, 65.2, "each step of coupled", fontsize=9, ha="right", va="center", color=COLOURS["ink"])
    _box(ax, (2, 56, 29, 9), "clip", r"$x_{main}=(1-\sigma)\,z_{src}+\sigma\,n$", "sky")
    _box(ax, (35, 56, 29, 9), "keyframes, same noise", r"$x_{key}=(1-\sigma)\,z_{key}+\sigma\,n_{slots}$", "gold")
    _arrow(ax, (16.5, 77), (16.5, 65))
    _arrow(ax, (49.5, 77), (49.5, 65))
    count = slot_count(FRAMES)
    positions = shared_positions(count, slots_of(KEYFRAMES, FRAMES))
    for k, position in enumerate(positions):
        token = k >= count
        x = 3 + 4.9 * k + 1.5 * token
        ax.add_patch(Rectangle((x, 46), 4.5, 4.6, facecolor=COLOURS["gold" if token else "sky"], alpha=0.5))
        ax.text(x + 2.25, 48.2, str(position), ha="center", va="center", fontsize=10)
    ax.text(65.5, 48.2, "temporal positions; keyframe\ntokens share their slot's", va="center", fontsize=9)
    _arrow(ax, (16.5, 56), (20, 50.8))
    _arrow(ax, (49.5, 56), (54, 50.8))
    _box(
        ax,
        (2, 36, 62, 6),
        "",
        r"model, guidance:  $v_{main}$,  $v_{key}$   ($v_{key}=n_{slots}-z_{key}$ if anchored)",
        "green",
    )
    _arrow(ax, (33, 46), (33, 42))
    ax.add_patch(
        FancyArrowPatch(
            (94, 73),
            (64, 39),
            arrowstyle="-|>",
            mutation_scale=11,
            color=COLOURS["ink"],
            linewidth=1.1,
            connectionstyle="angle,angleA=-90,angleB=0,rad=4",
        )
    )
    _box(
        ax,
        (2, 21, 36, 11),
        "residual at the slots",
        r"$r=(x_{main}-x_{key})$" "\n" r"$-\,(v_{main}-v_{key})\,dt$",
        "purple",
    )
    _box(
        ax,
        (42, 21, 36, 11),
        "correction",
        r"$v_{main}\leftarrow v_{main}+(\kappa/dt)\,r$" "\n" r"$v_{key}\leftarrow v_{key}-(\beta\kappa/dt)\,r$",
        "purple",
    )
    _box(ax, (82, 21, 16, 11), "Euler", r"$x-dt\,v$", "green")
    _arrow(ax, (20, 36), (20, 32))
    _arrow(ax, (38, 26.5), (42, 26.5))
    _arrow(ax, (78, 26.5), (82, 26.5))
    ax.add_patch(
        FancyArrowPatch(
            (97, 32),
            (64, 60.5),
            arrowstyle="-|>",
            mutation_scale=11,
            color=COLOURS["ink"],
            linewidth=1.1,
            connectionstyle="angle,angleA=90,angleB=0,rad=4",
        )
    )
    ax.text(80.5, 57.6, r"next $\sigma$, both", fontsize=10, ha="center", va="center")


def _output(ax: Axes) -> None:
    _box(ax, (2, 2, 29, 12), "reference", "source, or the estimate\nfor refine;\n" r"its latents $z_{ref}$", "sky")
    _box(
        ax, (35, 2, 36, 12), "decode the change", r"$D(z_{edit})-D(z_{ref})$" "\n" r"times the repair's share", "green"
    )
    _box(ax, (75, 2, 23, 12), "edited clip", "reference\n+ change", "orange")
    _arrow(ax, (86, 21), (64, 14))
    ax.text(80, 16.2, r"$z_{edit}$", fontsize=10, ha="left", va="center")
    _arrow(ax, (31, 8), (35, 8))
    _arrow(ax, (71, 8), (75, 8))


def _box(ax: Axes, place: tuple[float, float, float, float], title: str, words: str, colour: str) -> None:
    x, y, width, height = place
    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=1.2", linewidth=1.2)
    shape.set(facecolor=(*plt.matplotlib.colors.to_rgb(COLOURS[colour]), 0.16), edgecolor=COLOURS[colour])
    ax.add_patch(shape)
    middle = x + width / 2
    if not title:
        ax.text(middle, y + height / 2, words, ha="center", va="center", fontsize=10)
        return
    ax.text(middle, y + height - 1.1, title, ha="center", va="top", fontsize=10, fontweight="bold")
    ax.text(middle, y + (height - 3) / 2, words, ha="center", va="center", fontsize=10)


def _arrow(ax: Axes, begin: Point, end: Point) -> None:
    ax.add_patch(FancyArrowPatch(begin, end, arrowstyle="-|>", mutation_scale=11, color=COLOURS["ink"], linewidth=1.1))
