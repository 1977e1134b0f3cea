"""The moving picture that opens the README: source, keyframes and edit of a run, side by side."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flowedit.media.clip import read_image, read_video, resize_image
from notebooks.publish.catalog import FOLDER

TARGET = FOLDER.parent / "docs" / "img" / "edit.webp"
SIZE, EVERY = (184, 320), 2
"""(height, width) of each of the three pictures, and how many frames of the clip one of it stands for."""
_BAND = 26


def front(run: Path, target: Path = TARGET) -> Path:
    """Make the picture from the folder of `flowedit demo`."""
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
    first, *rest = pictures
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
