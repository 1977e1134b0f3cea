"""The README's two pictures: a run that moves, and all looks; `tests/browser/pictures.py` draws those of widgets."""

import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from benchmarks.worlds import film_folder
from flowedit.agent.painting import analyse, paint
from flowedit.agent.sample import file_source
from flowedit.agent.stylers import LOOKS
from flowedit.lessons.look import bare
from flowedit.media.clip import read_image, read_video, resize_image
from notebooks.publish.catalog import FOLDER

TARGET = FOLDER.parent / "docs" / "img"
SIZE, EVERY = (184, 320), 2
"""(height, width) of each of the three moving pictures, and how many frames of the clip one of it stands for."""
_BAND = 26


def front(run: Path, folder: Path = TARGET) -> Path:
    """Source, keyframes and edit of a folder of `flowedit demo`, side by side and moving."""
    source, edited = (read_video(run / name).frames for name in ("inputs/source.mp4", "edited.mp4"))
    at = json.loads((run / "run.json").read_text(encoding="utf-8"))["keyframes"]
    painted = {i: read_image(run / "inputs" / "keyframes" / f"frame-{i:04d}.png") for i in at}
    forth = range(0, len(edited), EVERY)
    pictures = []
    for i in [*forth, *reversed(forth[1:-1])]:
        near = min(painted, key=lambda k: abs(k - i))
        row = [resize_image(one, SIZE) for one in (source[i], painted[near], edited[i])]
        names = "source", f"painted: frame {near}", f"edit: frame {i}"
        pictures.append(_captioned(np.concatenate(row, axis=1), names))
    target, (first, *rest) = folder / "edit.webp", pictures
    rate = {"duration": round(1000 * EVERY / 25), "loop": 0}
    first.save(target, "WEBP", save_all=True, append_images=rest, quality=70, method=4, **rate)
    return target


def _captioned(row: np.ndarray, names: tuple[str, ...]) -> Image.Image:
    picture = Image.new("RGB", (row.shape[1], row.shape[0] + _BAND), "#202124")
    picture.paste(Image.fromarray(row), (0, _BAND))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for k, name in enumerate(names):
        pen.text((k * SIZE[1] + 8, 4), name, fill="#e8eaed", font=font)
    return picture


def looks(folder: Path = TARGET) -> Path:
    """Every look on a frame of a film, under the film's card, and on three of scikit-image's pictures."""
    plt.style.use("flowedit.lessons.house")
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
    buffer, target = io.BytesIO(), folder / "looks.webp"
    fig.savefig(buffer, format="png", dpi=125)
    plt.close(fig)
    Image.open(buffer).convert("RGB").save(target, quality=80, method=6)
    return target
