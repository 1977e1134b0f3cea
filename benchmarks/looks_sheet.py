"""The contact sheet of all looks: a frame of a clip, and under it three pictures that ship with scikit-image."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from flowedit.agent.colour import Picture
from flowedit.agent.painting import analyse, paint
from flowedit.agent.sample import Source
from flowedit.agent.stylers import LOOKS, Look
from flowedit.media.images import resize_image

_LARGE = (198, 352)
_GAP = 4
_LABEL = 24
_COLUMNS = 3
_SMALL = (88, (_LARGE[1] - 2 * _GAP) // 3)
_KEYFRAMES = 4
_SHOWN = 2


def looks_sheet(source: Source) -> Picture:
    """Every look on one frame of a clip, under the clip's card, and on single pictures, each under its own.

    Args:
        source: any clip.
    """
    frames = [source.frame(round(k * (source.num_frames - 1) / (_KEYFRAMES - 1))) for k in range(_KEYFRAMES)]
    stills = [np.ascontiguousarray(picture()[..., :3]) for picture in (data.astronaut, data.coffee, data.chelsea)]
    cells = [_cell("Source", frames[_SHOWN], stills)]
    for look in LOOKS.values():
        styled = _styled(look, frames, stills[1])
        singles = [_styled(look, [still], frames[_SHOWN] if k == 1 else stills[1])[0] for k, still in enumerate(stills)]
        cells.append(_cell(look.title, styled[_SHOWN], singles))
    return _grid(cells)


def _styled(look: Look, images: Sequence[Picture], reference: Picture) -> list[Picture]:
    card = analyse(images, look, reference if look.name == "transfer" else None)
    return [paint(image, card, 0, 1.0) for image in images]


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
