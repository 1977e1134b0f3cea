"""Pictures of a run: source beside edit, frame by frame and as one sheet."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flowedit.keyframes import Keyframe

INK, PAPER, ACCENT = (32, 33, 36), (255, 255, 255), (214, 96, 38)
GAP = 8
BAND, FONT = 24, 15


def comparison_frames(source: np.ndarray, edited: np.ndarray, keyframes: Sequence[Keyframe]) -> np.ndarray:
    """Source and edit side by side with a caption band; a mark in it where the frame is a keyframe.

    Args:
        source: uint8 (F, H, W, 3).
        edited: the same number of frames; another size is brought to the source's.
        keyframes: the styled keyframes.

    Returns:
        uint8 (F, H + band, 2 W + gap, 3), both sides even.
    """
    marked = {keyframe.index for keyframe in keyframes}
    height, width = (side * _zoom(source.shape[1]) for side in source.shape[1:3])
    frames = []
    for index, (left, right) in enumerate(zip(source, edited, strict=True)):
        canvas = np.full((height + BAND, 2 * width + GAP, 3), PAPER, np.uint8)
        canvas[BAND:, :width] = _scaled(left, height, width)
        canvas[BAND:, width + GAP :] = _scaled(right, height, width)
        note = f"edited · frame {index}" + (" · keyframe" if index in marked else "")
        frames.append(_captioned(canvas, {0: "source", width + GAP: note}, accent=index in marked))
    return np.stack(frames)


def contact_sheet(
    source: np.ndarray, edited: np.ndarray, keyframes: Sequence[Keyframe], *, columns: int = 5
) -> np.ndarray:
    """One picture of a run: source frames above the edited ones, with the styled keyframes between where there are any.

    Returns:
        uint8 (height, width, 3).
    """
    styled = {keyframe.index: keyframe.image for keyframe in keyframes}
    shown = _shown_frames(len(source), sorted(styled), columns)
    zoom = _zoom(source.shape[1])
    height, width = (side * zoom for side in source.shape[1:3])
    rows = (
        ("source", [source[i] for i in shown]),
        ("keyframes", [styled.get(i) for i in shown]),
        ("edited", [edited[i] for i in shown]),
    )
    margin = _margin([name for name, _ in rows], len(shown) * (width + GAP))
    letters = _letters(margin + len(shown) * (width + GAP))
    head = max(2 * BAND, 10 + 2 * letters)
    sheet = np.full((head + len(rows) * (height + GAP), margin + len(shown) * (width + GAP), 3), PAPER, np.uint8)
    captions: dict[tuple[int, int], str] = {}
    for column, index in enumerate(shown):
        captions[(margin + column * (width + GAP), 10)] = f"frame {index}"
    for row, (name, pictures) in enumerate(rows):
        top = head + row * (height + GAP)
        captions[(8, top + (height - letters) // 2)] = name
        for column, picture in enumerate(pictures):
            left = margin + column * (width + GAP)
            if picture is not None:
                sheet[top : top + height, left : left + width] = _scaled(picture, height, width)
    return _written(sheet, captions)


def _margin(names: Sequence[str], beside: int) -> int:
    """Width for the rows' names left of pictures so wide; the wider the sheet, the larger its letters."""
    margin = 130
    for _ in range(3):  # the margin is a small part of the width that sets the letters' size
        font = _font(margin + beside)
        margin = max(margin, 16 + math.ceil(max(font.getlength(name) for name in names)))
    return margin


def _shown_frames(num_frames: int, keyframes: Sequence[int], columns: int) -> list[int]:
    """Frames worth showing: the keyframes, filled up with the frames farthest from those already shown."""
    shown = sorted(set(keyframes))[:columns] or [0]
    while len(shown) < min(columns, num_frames):
        distance = [min(abs(i - s) for s in shown) for i in range(num_frames)]
        shown.append(int(np.argmax(distance)))
    return sorted(shown)


def _zoom(height: int) -> int:
    """A whole factor that makes small frames large enough to look at."""
    return max(1, round(192 / height))


def _scaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = picture.shape[0] > height
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _captioned(canvas: np.ndarray, captions: dict[int, str], *, accent: bool) -> np.ndarray:
    written = _written(canvas, {(left + 4, 3): text for left, text in captions.items()})
    if accent:
        written[BAND - 3 : BAND, max(captions) :] = ACCENT
    return written[: written.shape[0] // 2 * 2, : written.shape[1] // 2 * 2]


def _font(width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Letters that can be read on a picture so many pixels wide."""
    return ImageFont.load_default(size=_letters(width))


def _letters(width: int) -> int:
    """The size of letters on a picture so many pixels wide."""
    return FONT * width // 1000 if width > 1300 else FONT


def _written(canvas: np.ndarray, captions: dict[tuple[int, int], str]) -> np.ndarray:
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    font = _font(canvas.shape[1])
    for position, text in captions.items():
        draw.text(position, text, fill=INK, font=font)
    return np.asarray(image).copy()
