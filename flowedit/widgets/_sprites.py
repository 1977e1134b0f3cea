"""Frames as sprite sheets: a clip becomes a few WebP pictures, each of many frames one below the other.

A sheet is text (base64), not a binary buffer, because JupyterLab drops buffers when it saves a widget's state.
"""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from flowedit.errors import WidgetError

MAX_FRAMES = 600
"""Longest clip a widget takes."""

CLIP_BYTES = 300_000
"""Encoded size of one clip at most."""

WIDGET_BYTES = 720_000
"""Encoded size of all clips of a widget together: 960 kB as base64."""

_SHEET_PIXELS = 1_100_000  # small enough for the first one to be decoded in a few dozen ms
_SHEET_HEIGHT = 8192  # what every browser draws from
_LOSSLESS_PIXELS = 1_500_000
_TRIES = 6
_SCALES = [0.9**i for i in range(40)]
_LADDER = [
    (1.0, "lossless"),
    *((1.0, quality) for quality in (90, 80, 70, 60, 50, 40, 30)),
    *((s, 25) for s in _SCALES),
]
"""Scale and quality of the sheets, from the best down; the first that fits is taken."""


def check_clip(frames: np.ndarray, name: str) -> np.ndarray:
    """Refuse what is not a clip: uint8 (F, H, W, 3), 1 to `MAX_FRAMES` frames."""
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
    """The one shape of all clips; refuses none, and different shapes."""
    shapes = {name: check_clip(clip, name).shape for name, clip in clips.items()}
    if len(set(shapes.values())) != 1:
        raise WidgetError(f"Clips shown in step must have one shape; got {shapes or 'no clip'}. Crop or resize them.")
    return next(iter(shapes.values()))


def encode_clips(clips: Mapping[str, np.ndarray], room: int = WIDGET_BYTES) -> list[dict]:
    """`encode_clip` of each clip, name to uint8 (F, H, W, 3), sharing `room`, a widget's size, among them."""
    budget = min(CLIP_BYTES, room // max(len(clips), 1))
    return [{"name": name, **encode_clip(check_clip(clip, name), budget)} for name, clip in clips.items()]


def encode_clip(frames: np.ndarray, budget: int = CLIP_BYTES) -> dict:
    """A clip as sprite sheets within `budget` bytes: lossless if that fits, else the best quality that does.

    Where even low quality is too large, frames are drawn smaller (area average); the result says so. Frames are uint8
    (F, H, W, 3), bytes are counted before base64.

    Returns:
        `frames`, `width`, `height` of the clip; `cell` (width, height) as drawn; `quality` (an int, or "lossless");
        `bytes`; and `sheets`, each with `start`, `count` and `data` (base64 WebP).
    """
    small, quality, sheets = _fitting(frames, budget)
    return {
        "frames": len(frames),
        "width": frames.shape[2],
        "height": frames.shape[1],
        "cell": [small.shape[2], small.shape[1]],
        "quality": quality,
        "bytes": sum(len(part["data"]) for part in sheets),
        "sheets": [{**part, "data": base64.b64encode(part["data"]).decode("ascii")} for part in sheets],
    }


def _fitting(frames: np.ndarray, budget: int) -> tuple[np.ndarray, int | str, list[dict]]:
    """The frames as drawn, the quality and the sheets of the first rung of the ladder that fits, or of the last."""
    sample = frames[np.linspace(0, len(frames) - 1, min(4, len(frames))).astype(int)]
    for scale, quality in _LADDER:
        if quality == "lossless" and frames.size // 3 > _LOSSLESS_PIXELS:
            continue
        # A few frames tell what is not worth trying; only the sheets themselves tell what fits.
        if len(frames) / len(sample) * len(_webp(np.concatenate(_resized(sample, scale)), quality)) <= budget:
            small = _resized(frames, scale)
            sheets = _sheets(small, quality)
            if sum(len(part["data"]) for part in sheets) <= budget:
                return small, quality, sheets
    scale, quality = _LADDER[-1]
    small = _resized(frames, scale)
    return small, quality, _sheets(small, quality)


def _sheets(frames: np.ndarray, quality: int | str) -> list[dict]:
    count, height, width, _ = frames.shape
    per_sheet = max(1, min(_SHEET_PIXELS // (width * height), _SHEET_HEIGHT // height))
    per_sheet = math.ceil(count / math.ceil(count / per_sheet))
    parts = {start: frames[start : start + per_sheet] for start in range(0, count, per_sheet)}
    with ThreadPoolExecutor(2) as pool:
        pictures = pool.map(lambda part: _webp(np.concatenate(part), quality), parts.values())
    return [
        {"start": start, "count": len(part), "data": picture}
        for (start, part), picture in zip(parts.items(), pictures, strict=True)
    ]


def encode_images(images: Sequence[np.ndarray], *, max_side: int, budget: int = WIDGET_BYTES) -> list[str]:
    """Pictures, uint8 (H, W, 3), as WebP data URLs of about `budget` bytes together, drawn smaller where need be."""
    clips = [check_clip(np.asarray(image)[None], "image") for image in images]
    urls: list[str] = []
    scale = 1.0
    for _ in range(_TRIES):
        small = [_resized(clip, min(1.0, scale * max_side / max(clip.shape[1:3])))[0] for clip in clips]
        urls = [f"data:image/webp;base64,{base64.b64encode(_webp(one, 82)).decode('ascii')}" for one in small]
        size = 3 * sum(map(len, urls)) // 4
        if size <= budget:
            break
        scale *= 0.95 * math.sqrt(budget / size)
    return urls


def room_beside(state: object) -> int:
    """Bytes left for the pictures of a widget whose other state is `state`, JSON values."""
    return max(WIDGET_BYTES // 4, WIDGET_BYTES - 3 * len(json.dumps(state)) // 4)


def contact_sheet(frames: np.ndarray, *, height: int = 120) -> np.ndarray:
    """Frames side by side at `height` pixels, uint8 (height, n * width, 3)."""
    return np.concatenate(list(_resized(np.asarray(frames), min(1.0, height / frames.shape[1]))), axis=1)


def _webp(picture: np.ndarray, quality: int | str) -> bytes:
    buffer = io.BytesIO()
    options = {"lossless": True, "quality": 20} if quality == "lossless" else {"quality": quality}
    Image.fromarray(picture).save(buffer, "WEBP", method=2, **options)
    return buffer.getvalue()


def _resized(frames: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return frames
    from flowedit.media.images import resize_video  # it loads OpenCV, 35 MB that no clip of small frames needs

    return resize_video(frames, (max(1, round(frames.shape[1] * scale)), max(1, round(frames.shape[2] * scale))))
