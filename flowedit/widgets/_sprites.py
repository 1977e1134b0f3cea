"""Frames as sprite sheets: a clip becomes a few WebP pictures of many frames, small enough to travel with a notebook.

A sheet is text (base64), not a binary buffer, because JupyterLab drops buffers when it saves a widget's state.
"""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from PIL import Image

from flowedit.errors import WidgetError

MAX_FRAMES = 600
"""Longest clip a widget takes."""

CLIP_BYTES = 300_000
"""Encoded size of one clip, unless the caller asks for more."""

WIDGET_BYTES = 720_000
"""Encoded size of all clips of a widget together: 960 kB as base64."""

_SHEET_PIXELS = 1_100_000  # small enough for the first one to be decoded in a few dozen ms
_MIN_QUALITY, _MAX_QUALITY = 25, 90
_LOSSLESS_PIXELS = 1_500_000
_WORKERS = 2
_TRIES = 6
_SMALLEST_SIDE = 16


def check_clip(frames: np.ndarray, name: str) -> np.ndarray:
    """Refuse what is not a clip: uint8 (F, H, W, 3), 1 to `MAX_FRAMES` frames.

    Raises:
        WidgetError: another type or shape, no frame, or too many frames.
    """
    array = np.asarray(frames)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or 0 in array.shape:
        raise WidgetError(
            f"Clip {name!r} is {array.dtype} of shape {array.shape}; a widget shows uint8 (frames, height, width, 3). "
            "Convert it, or add the missing axis."
        )
    if len(array) > MAX_FRAMES:
        step = math.ceil(len(array) / MAX_FRAMES)
        raise WidgetError(
            f"Clip {name!r} has {len(array)} frames; a widget shows at most {MAX_FRAMES}. Pass frames[::{step}]."
        )
    return array


def check_same_shape(clips: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """The one shape of all clips.

    Raises:
        WidgetError: no clip, or clips of different shapes.
    """
    shapes = {name: check_clip(clip, name).shape for name, clip in clips.items()}
    if len(set(shapes.values())) != 1:
        raise WidgetError(f"Clips shown in step must have one shape; got {shapes or 'no clip'}. Crop or resize them.")
    return next(iter(shapes.values()))


def encode_clips(clips: Mapping[str, np.ndarray], kilobytes: int | None = None) -> list[dict]:
    """`encode_clip` of each clip, sharing the widget's size among them.

    Args:
        clips: name to uint8 (F, H, W, 3).
        kilobytes: encoded size of one clip; by default 300, or less when there are many clips.
    """
    budget = 1000 * kilobytes if kilobytes else min(CLIP_BYTES, WIDGET_BYTES // max(len(clips), 1))
    return [{"name": name, **encode_clip(check_clip(clip, name), budget)} for name, clip in clips.items()]


def encode_clip(frames: np.ndarray, budget: int = CLIP_BYTES) -> dict:
    """A clip as sprite sheets within `budget` bytes: lossless if that fits, else the best quality that does.

    Where even low quality is too large, frames are drawn smaller (area average); the result says so.

    Args:
        frames: uint8 (F, H, W, 3).
        budget: target size in bytes, before base64.

    Returns:
        `frames`, `width`, `height` of the clip; `cell` (width, height) as drawn; `quality` (an int, or "lossless");
        `bytes`; and `sheets`, each with `start`, `count`, `columns` and `data` (base64 WebP).
    """
    count, height, width, _ = frames.shape
    small, quality = _choose(frames, budget)
    starts, pictures = _sheets(small, quality)
    for _ in range(2 * _TRIES):
        size = sum(map(len, pictures))
        if size <= budget or min(small.shape[1:3]) <= 1:
            break
        small, quality = _less(frames, small, quality, budget / size)
        starts, pictures = _sheets(small, quality)
    cell = (small.shape[2], small.shape[1])
    per_sheet = starts.step
    return {
        "frames": count,
        "width": width,
        "height": height,
        "cell": list(cell),
        "quality": quality,
        "bytes": sum(map(len, pictures)),
        "sheets": [
            {
                "start": start,
                "count": min(per_sheet, count - start),
                "columns": _columns(min(per_sheet, count - start)),
                "data": base64.b64encode(picture).decode("ascii"),
            }
            for start, picture in zip(starts, pictures, strict=True)
        ],
    }


def _sheets(frames: np.ndarray, quality: int | str) -> tuple[range, list[bytes]]:
    """The first frame of every sheet, and the sheets."""
    count, height, width, _ = frames.shape
    per_sheet = max(1, _SHEET_PIXELS // (width * height))
    per_sheet = math.ceil(count / math.ceil(count / per_sheet))
    starts = range(0, count, per_sheet)
    with ThreadPoolExecutor(_WORKERS) as pool:
        return starts, list(pool.map(lambda start: _webp(sheet(frames[start : start + per_sheet]), quality), starts))


def _less(frames: np.ndarray, small: np.ndarray, quality: int | str, share: float) -> tuple[np.ndarray, int | str]:
    """Frames and quality for `share` of the bytes, where the few frames looked at promised too little."""
    if quality == "lossless":
        return small, _MAX_QUALITY
    if int(quality) > _MIN_QUALITY:
        return small, max(_MIN_QUALITY, int(int(quality) * share))
    # Averaging takes grain away, so that less than the share of the bytes is left: go down by halves at most.
    scale = small.shape[1] / frames.shape[1] * max(0.5, 0.95 * math.sqrt(share))
    return _resized(frames, scale), quality


def sheet(frames: np.ndarray) -> np.ndarray:
    """Frames laid out row by row in one picture, uint8 (rows * H, columns * W, 3); unused cells are black."""
    count, height, width, _ = frames.shape
    columns = _columns(count)
    rows = math.ceil(count / columns)
    cells = np.zeros((rows * columns, height, width, 3), np.uint8)
    cells[:count] = frames
    grid = cells.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * height, columns * width, 3)


def decode_frame(clip: Mapping, index: int) -> np.ndarray:
    """The frame that a browser shows for `index`, uint8 (h, w, 3): the inverse of `encode_clip`, with its loss."""
    part = next(part for part in reversed(clip["sheets"]) if part["start"] <= index)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(part["data"]))).convert("RGB"))
    width, height = clip["cell"]
    row, column = divmod(index - part["start"], part["columns"])
    return picture[row * height : (row + 1) * height, column * width : (column + 1) * width]


def encode_image(image: np.ndarray, *, max_side: int = 480, quality: int = 82) -> str:
    """One picture as a WebP data URL, no side longer than `max_side`.

    Raises:
        WidgetError: not uint8 (H, W, 3).
    """
    data = _webp(fit_side(image, max_side), quality)
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")


def fit_side(image: np.ndarray, max_side: int) -> np.ndarray:
    """A picture no side of which is longer than `max_side`, uint8 (H, W, 3).

    Raises:
        WidgetError: not uint8 (H, W, 3).
    """
    array = check_clip(np.asarray(image)[None], "image")[0]
    return _resized(array[None], min(1.0, max_side / max(array.shape[:2])))[0]


def encode_images(images: Sequence[np.ndarray], *, max_side: int, budget: int = WIDGET_BYTES) -> list[str]:
    """Pictures as WebP data URLs of about `budget` bytes together: all are drawn smaller where they would be more.

    Raises:
        WidgetError: one is not uint8 (H, W, 3).
    """
    side, urls = max_side, []
    for _ in range(_TRIES):
        urls = [encode_image(image, max_side=side) for image in images]
        size = 3 * sum(map(len, urls)) // 4
        if size <= budget or side <= _SMALLEST_SIDE:
            break
        side = max(_SMALLEST_SIDE, int(0.97 * side * math.sqrt(budget / size)))
    return urls


def room_beside(state: object) -> int:
    """Bytes left for the pictures of a widget whose other state is `state`, JSON values."""
    return max(WIDGET_BYTES // 4, WIDGET_BYTES - 3 * len(json.dumps(state)) // 4)


def contact_sheet(frames: np.ndarray, *, height: int = 120) -> np.ndarray:
    """Frames side by side at `height` pixels, uint8 (height, n * width, 3)."""
    small = _resized(frames, min(1.0, height / frames.shape[1]))
    return np.concatenate(list(small), axis=1)


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _webp(picture: np.ndarray, quality: int | str) -> bytes:
    buffer = io.BytesIO()
    options = {"lossless": True, "quality": 20} if quality == "lossless" else {"quality": quality}
    Image.fromarray(picture).save(buffer, "WEBP", method=2, **options)
    return buffer.getvalue()


def _resized(frames: np.ndarray, scale: float) -> np.ndarray:
    if scale >= 1:
        return frames
    size = (max(1, round(frames.shape[2] * scale)), max(1, round(frames.shape[1] * scale)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _choose(frames: np.ndarray, budget: int) -> tuple[np.ndarray, int | str]:
    """Frames at the size, and the quality, that should fit; the size is read off a few frames, not by encoding all."""
    sample = frames[np.linspace(0, len(frames) - 1, min(4, len(frames))).astype(int)]
    if frames.size // 3 <= _LOSSLESS_PIXELS and _predicted(sample, len(frames), "lossless") <= budget:
        return frames, "lossless"
    lowest = _predicted(sample, len(frames), _MIN_QUALITY)
    if lowest > budget:
        return _resized(frames, _scale_for(sample, len(frames), budget, lowest)), _MIN_QUALITY
    return frames, _quality_for(budget, lowest, _predicted(sample, len(frames), _MAX_QUALITY))


def _scale_for(sample: np.ndarray, count: int, budget: int, lowest: float) -> float:
    """The scale at which the lowest quality fits; a smaller picture holds more detail a pixel, so it is tried."""
    scale = math.sqrt(budget / lowest)
    for _ in range(_TRIES):
        size = _predicted(_resized(sample, scale), count, _MIN_QUALITY)
        if size <= budget:
            break
        scale *= math.sqrt(budget / size)
    return scale


def _predicted(sample: np.ndarray, count: int, quality: int | str) -> float:
    return len(_webp(sheet(sample), quality)) * count / len(sample)


def _quality_for(budget: int, lowest: float, highest: float) -> int:
    """The quality whose size meets the budget, taking log size as linear in quality, which errs on the small side."""
    if highest <= budget:
        return _MAX_QUALITY
    share = math.log(budget / lowest) / math.log(highest / lowest)
    return round(_MIN_QUALITY + share * (_MAX_QUALITY - _MIN_QUALITY))
