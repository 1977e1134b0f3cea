"""The contact sheet of all looks, and the table of what each costs and how steady it is.

    python -m flowedit.agent.sheet VIDEO --output docs/img/looks.png

VIDEO is any clip of a static camera; the three small pictures under each look ship with scikit-image.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from flowedit.agent.agreement import change_ratio
from flowedit.agent.parts import analyse, paint
from flowedit.agent.sample import file_source
from flowedit.agent.stylers import LOOKS
from flowedit.agent.stylers.look import Look
from flowedit.images import resize_image, write_image

Picture = UInt8[np.ndarray, "_H _W 3"]

_LARGE = (198, 352)
_GAP = 4
_LABEL = 24
_COLUMNS = 3
_SMALL = (88, (_LARGE[1] - 2 * _GAP) // 3)


def main(
    video: Annotated[Path, typer.Argument(help="A clip of a static camera.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("looks.png"),
    keyframes: Annotated[int, typer.Option(help="Keyframes that the table compares.")] = 4,
    shown: Annotated[int, typer.Option(help="Which of them the sheet shows, from 0.")] = 2,
) -> None:
    """Paint every look, write the sheet, print the table."""
    source = file_source(video)
    frames = [source.frame(round(k * (source.num_frames - 1) / (keyframes - 1))) for k in range(keyframes)]
    stills = [np.ascontiguousarray(picture()[..., :3]) for picture in (data.astronaut, data.coffee, data.chelsea)]
    cells = [_cell("Source", frames[shown], stills)]
    typer.echo("| look | change of regions, styled / source | of pixels | processor seconds a keyframe |")
    typer.echo("|---|---|---|---|")
    for look in LOOKS.values():
        styled, seconds = _styled(look, frames, stills[1])
        regions, pixels = change_ratio(frames, styled), change_ratio(frames, styled, regions=min(frames[0].shape[:2]))
        typer.echo(f"| {look.name} | {regions:.2f} | {pixels:.2f} | {seconds:.1f} |")
        singles = [
            _styled(look, [still], frames[shown] if k == 1 else stills[1])[0][0] for k, still in enumerate(stills)
        ]
        cells.append(_cell(look.title, styled[shown], singles))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_image(output, _grid(cells))


def _styled(look: Look, images: Sequence[Picture], reference: Picture) -> tuple[list[Picture], float]:
    """Every picture under one card, and the processor time that one took."""
    card = analyse(images, look, reference if look.name == "transfer" else None)
    began = time.process_time()
    styled = [paint(image, card, 0, 1.0) for image in images]
    return styled, (time.process_time() - began) / len(images)


def _cell(title: str, large: Picture, small: Sequence[Picture]) -> Picture:
    height = _LABEL + _LARGE[0] + _GAP + _SMALL[0]
    sheet = Image.new("RGB", (_LARGE[1], height), "white")
    ImageDraw.Draw(sheet).text((2, 2), title, fill=(30, 30, 30), font=ImageFont.load_default(17))
    sheet.paste(Image.fromarray(_filled(large, _LARGE)), (0, _LABEL))
    for k, image in enumerate(small):
        place = (k * (_SMALL[1] + _GAP), _LABEL + _LARGE[0] + _GAP)
        sheet.paste(Image.fromarray(_filled(image, _SMALL)), place)
    return np.asarray(sheet)


def _filled(image: Picture, size: tuple[int, int]) -> Picture:
    """The picture scaled to cover `size`, and cropped: centred across, a little above the middle down."""
    factor = max(size[0] / image.shape[0], size[1] / image.shape[1])
    scaled = resize_image(image, (round(image.shape[0] * factor), round(image.shape[1] * factor)))
    top, left = round((scaled.shape[0] - size[0]) * 0.3), (scaled.shape[1] - size[1]) // 2
    return scaled[top : top + size[0], left : left + size[1]]


def _grid(cells: Sequence[Picture]) -> Picture:
    rows = -(-len(cells) // _COLUMNS)
    height, width = cells[0].shape[:2]
    margin = 3 * _GAP
    sheet = np.full((rows * (height + margin) + margin, _COLUMNS * (width + margin) + margin, 3), 255, np.uint8)
    for k, cell in enumerate(cells):
        top, left = margin + k // _COLUMNS * (height + margin), margin + k % _COLUMNS * (width + margin)
        sheet[top : top + height, left : left + width] = cell
    return sheet


if __name__ == "__main__":
    typer.run(main)
