"""The pictures of docs/method.md and the sheet of looks, drawn by the package's own functions.

The strip and one panel of the gap law run the shipped small model, a minute or two on two cores.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from skimage import data

from benchmarks.cases import Condition, under
from benchmarks.worlds import SMALL_SIZE, film_folder, own_case
from flowedit.agent.painting import analyse, paint
from flowedit.agent.sample import file_source
from flowedit.agent.stylers import LOOKS
from flowedit.edit.preparation import sigma_grid
from flowedit.edit.steps import edit_video
from flowedit.errors import KeyframeError
from flowedit.estimate import estimate
from flowedit.frames import group_of, slot_count, slot_of, slots_of
from flowedit.lessons.look import COLOURS, WIDTH, bare, use_house_style
from flowedit.methods.branches import shared_positions
from flowedit.metrics import psnr
from flowedit.models import load_model
from flowedit.presets import preset_settings
from flowedit.schedule import wan_sigmas
from flowedit.wan.routes import keyframe_mask
from notebooks.publish.catalog import FOLDER
from notebooks.publish.gap_law import gap_law

TARGET = FOLDER.parent / "docs" / "img"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)))
MARKERS = "os^Dv"
LINES = ("blue", "orange", "green", "purple", "gold")

STEPS, ALPHA = 20, 10.0
SHIFTS = (1.0, 3.0, 5.0, 8.0)
PRESETS = (("tiny", "default"), ("tiny", "method"), ("1.3B", "draft"), ("1.3B", "default"))
SCENE, FAR = 11, (8, 24)
"""A test scene with an outlining style whose keyframes disagree, and two frames far from its keyframes."""
LARGE_ERROR = 48
"""Mean over the channels, in 8-bit levels, that the pictures of errors show brightest."""


def grid() -> Figure:
    """Noise levels for several shifts, how long their steps are, and what the presets walk."""
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.1), width_ratios=(1, 1, 1.25))
    for shift, colour, dash, marker in zip(SHIFTS, LINES, DASHES, MARKERS, strict=False):
        sigmas = wan_sigmas(STEPS, shift=shift)
        look = {"color": COLOURS[colour], "linestyle": dash, "marker": marker, "markersize": 3}
        axes[0].plot(range(STEPS + 1), sigmas, label=f"shift {shift:g}", **look)
        axes[1].plot(range(STEPS), [a - b for a, b in pairwise(sigmas)], **look)
    axes[0].set(title=f"Noise level, {STEPS} steps", xlabel="step", ylabel=r"$\sigma$")
    axes[0].legend(fontsize=9)
    axes[1].axhline(2 / ALPHA, color=COLOURS["ink"], linewidth=1, linestyle=(0, (6, 3)))
    axes[1].text(0, 2 / ALPHA, rf"$2/\alpha$ for $\alpha={ALPHA:g}$", fontsize=9, va="bottom")
    axes[1].set(title=r"Length of a step, $dt$", xlabel="step")
    for row, (model, preset) in enumerate(PRESETS):
        sigmas = sigma_grid(preset_settings(model, preset))
        axes[2].plot(sigmas, [row] * len(sigmas), color=COLOURS[LINES[row]], linestyle="-", linewidth=1, marker="|")
        words = f"{len(sigmas) - 1} step{'s' * (len(sigmas) > 2)} from {sigmas[0]:.3f}"
        axes[2].text(0.99, row - 0.16, f"{model}, {preset}: {words}", fontsize=9, va="bottom")
    axes[2].set(title="What presets walk", xlabel=r"$\sigma$, noise to data", yticks=[], ylim=(3.35, -0.75))
    axes[2].invert_xaxis()
    return fig


def slots() -> Figure:
    """Frames, slots, keyframe tokens and mask bits of a clip, and two keyframes that collide."""
    frames, keyframes, colliding = 17, (0, 8, 16), (1, 3)
    fig, ax = plt.subplots(figsize=(WIDTH, 4.0))
    count, key_slots = slot_count(frames), slots_of(keyframes, frames)
    shades = [COLOURS[name] for name in ("sky", "gold")]
    for i in range(frames):
        _cell(ax, i, 0, 1, str(i), shades[slot_of(i) % 2], alpha=0.95 if i in keyframes else 0.3)
    ax.plot([k + 0.5 for k in keyframes], [-0.28] * len(keyframes), "v", color=COLOURS["ink"], markersize=7)
    for slot in range(count):
        group = group_of(slot)
        _cell(ax, group[0], 1.25, len(group), f"slot {slot}" if slot else "0", shades[slot % 2], alpha=0.6)
    for position, slot in zip(shared_positions(count, key_slots)[count:], key_slots, strict=True):
        group = group_of(slot)
        _cell(ax, group[0], 2.5, len(group), f"position {position}" if slot else "0", COLOURS["green"], alpha=0.6)
    bits = keyframe_mask(keyframes, frames, 1, 1)[..., 0, 0].numpy()
    for slot in range(count):
        group = group_of(slot)
        for bit, value in enumerate(bits[:, slot]):
            width = len(group) / 4
            _cell(ax, group[0] + bit * width, 3.75, width, f"{value:.0f}", COLOURS["grey"], alpha=0.15 + 0.6 * value)
    try:
        slots_of(colliding, frames)
        said = ""
    except KeyframeError as refusal:
        said = str(refusal).replace("; ", ";\n")
    ax.plot([k + 0.5 for k in colliding], [5.45] * 2, "X", color=COLOURS["orange"], markersize=9)
    ax.plot([k + 0.5 for k in colliding], [5.45] * 2, color=COLOURS["orange"], linewidth=1)
    ax.text(4.4, 5.45, said, fontsize=10, va="center")
    names = {0.4: "pixel frame", 1.65: "latent slot", 2.9: "keyframe token", 4.15: "mask bits", 5.45: "refused"}
    bare(ax)
    ax.set_yticks(list(names), names.values(), fontsize=10)
    ax.set(xlim=(-0.15, frames + 0.15), ylim=(6.0, -0.6))
    return fig


def strip() -> Figure:
    """Source, keyframes, estimate, the default's edit and the truth of a test scene, and both errors."""
    case = next(under(own_case(SCENE, size=SMALL_SIZE), Condition.DISAGREEING))
    images = {k.index: k.image for k in case.keyframes}
    made = estimate(case.frames, images).frames
    edit = edit_video(
        case.frames, case.keyframes, load_model("tiny"), preset_settings("tiny", "default", prompt=case.caption)
    ).frames
    far = [i for i in range(len(made)) if min(abs(i - k) for k in images) >= 4]
    means = [float(psnr(clip[far], case.truth[far]).mean()) for clip in (case.frames, made, edit)]
    fig, axes = plt.subplots(3, 6, figsize=(WIDTH, 5.0))
    for column, index in enumerate(images):
        _show(axes[0, column], case.frames[index], f"source, frame {index}")
        _show(axes[0, column + 3], images[index], f"keyframe {index}")
    for block, i in enumerate(FAR):
        upper, lower = axes[1, 3 * block :], axes[2, 3 * block :]
        _show(upper[0], case.frames[i], f"source, frame {i}")
        _show(lower[0], case.truth[i], f"truth, frame {i}")
        for ax, below, clip, name in zip(upper[1:], lower[1:], (made, edit), ("estimate", "edit"), strict=False):
            _show(ax, clip[i], f"{name}, {psnr(clip[[i]], case.truth[[i]])[0]:.1f} dB")
            error = np.abs(clip[i].astype(np.float32) - case.truth[i]).mean(axis=2)
            _show(below, error, rf"|{name} $-$ truth|")
    fig.suptitle(
        f"All {len(far)} frames far from the keyframes against the truth: "
        f"source {means[0]:.2f} dB, estimate {means[1]:.2f} dB, edit {means[2]:.2f} dB\n"
        f"Errors: mean over the channels, black 0, brightest {LARGE_ERROR} levels or more",
        fontsize=10,
    )
    return fig


def looks() -> Figure:
    """Every look on a frame of a film, under the film's card, and on three of scikit-image's pictures."""
    source = file_source(film_folder() / "bigbuckbunny.mp4")
    film = [source.frame(round(k * (source.num_frames - 1) / 3)) for k in range(4)]
    stills = [np.ascontiguousarray(picture()[..., :3]) for picture in (data.astronaut, data.coffee, data.chelsea)]
    shown = [(film[2], film), *((still, [still]) for still in stills)]
    fig = plt.figure(figsize=(8.4, 8.4))
    cells = fig.subfigures(-(-(len(LOOKS) + 1) // 3), 3).flat
    for cell, look in zip(cells, (None, *LOOKS.values()), strict=False):
        cell.suptitle("Source" if look is None else look.title, fontsize=10)
        axes = cell.subplot_mosaic("AAA;BCD", height_ratios=(2.2, 1)).values()
        for ax, (picture, known) in zip(axes, shown, strict=True):
            palette = film[2] if picture is stills[1] else stills[1]
            style = look and analyse(known, look, palette if look.name == "transfer" else None)
            ax.imshow(picture if style is None else paint(picture, style, 0, 1.0))
            bare(ax)
    return fig


PICTURES: Mapping[str, Callable[[], Figure]] = {
    "looks.webp": looks,
    "method_grid.png": grid,
    "method_slots.png": slots,
    "method_gap_law.png": gap_law,
    "method_strip.png": strip,
}


def _cell(ax: Axes, x: float, y: float, width: float, words: str, colour: str, *, alpha: float) -> None:  # noqa: PLR0913 - a place, a size and a look
    ax.add_patch(Rectangle((x + 0.03, y), width - 0.06, 0.8, facecolor=colour, alpha=alpha, linewidth=0))
    ax.text(x + width / 2, y + 0.42, words, ha="center", va="center", fontsize=10)


def _show(ax: Axes, image: np.ndarray, title: str) -> None:
    ax.imshow(image, cmap="inferno", vmin=0, vmax=LARGE_ERROR)  # the last three only matter to errors
    ax.set_title(title, fontsize=9, loc="center", fontweight="normal", pad=3)
    ax.set(xticks=[], yticks=[])
    bare(ax)


def write(fig: Figure, target: Path) -> Path:
    """Write a figure as a PNG with few colours, or as a WebP, and give the file."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=125)
    plt.close(fig)
    picture = PIL.Image.open(buffer).convert("RGB")
    if target.suffix == ".png":
        colours = 256 if any(ax.images for ax in fig.axes) else 96
        picture.quantize(colours, dither=PIL.Image.Dither.NONE).save(target, "PNG", optimize=True)
    else:
        picture.save(target, quality=80, method=6)
    return target


def draw(names: Sequence[str]) -> Iterator[Path]:
    """Draw some of `PICTURES` into docs/img, and give each file."""
    use_house_style()
    for name in names:
        yield write(PICTURES[name](), TARGET / name)
