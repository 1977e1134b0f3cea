"""Pictures as callers have them (PIL, arrays, files), as the frames and keyframes that the editor takes."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from flowedit.errors import KeyframeError, UnusualSettingWarning, VideoShapeError
from flowedit.frames import check_num_frames, longest_legal
from flowedit.keyframes import Keyframe, fit_keyframe
from flowedit.media.clip import probe, read_video
from flowedit.media.images import read_image

Picture = Image.Image | UInt8[np.ndarray, "_ _ 3"] | str | Path
"""A picture: PIL, an array, or a file."""
Pictures = Sequence[Picture] | UInt8[np.ndarray, "_ _ _ 3"]
"""Several of them; an array holds one per row."""


def clip_of(source: str | Path | Pictures, num_frames: int | None) -> UInt8[np.ndarray, "F H W 3"]:
    """The frames to edit, the first `num_frames`, `4n + 1`; None takes the longest legal number, and says so.

    Raises:
        VideoShapeError: no frames, or fewer than asked for, or not `4n + 1`.
    """
    if isinstance(source, str | Path):
        total = probe(source).num_frames
        return read_video(source, num_frames=_length(total, num_frames)).frames
    frames = stack_pictures(source)
    return frames[: _length(len(frames), num_frames)]


def _length(total: int, num_frames: int | None) -> int:
    if total < 1:
        raise VideoShapeError("source_video has no frames; give a file, pictures, or an array (F, H, W, 3).")
    if num_frames is None:
        num_frames = longest_legal(total)
        if num_frames < total:
            warn_unusual(
                f"The source has {total} frames; the first {num_frames} are edited. Give num_frames to choose."
            )
    check_num_frames(num_frames)
    if num_frames > total:
        raise VideoShapeError(f"num_frames is {num_frames} and the source has {total}; use {longest_legal(total)}.")
    return num_frames


def stack_pictures(pictures: Pictures) -> UInt8[np.ndarray, "F H W 3"]:
    """Pictures as frames; several sizes are refused."""
    arrays = [_picture(picture) for picture in pictures]
    sizes = sorted({array.shape[:2] for array in arrays})
    if len(sizes) > 1:
        raise VideoShapeError(f"The pictures have sizes {sizes[0]} and {sizes[1]}; give all of them in one size.")
    return np.stack(arrays) if arrays else np.zeros((0, 1, 1, 3), np.uint8)


def _picture(picture: Picture) -> UInt8[np.ndarray, "H W 3"]:
    if isinstance(picture, str | Path):
        return read_image(picture)
    return np.array(picture.convert("RGB")) if isinstance(picture, Image.Image) else picture


def keyframes_of(
    pictures: Pictures, indices: Sequence[int], source: tuple[int, ...], target: tuple[int, int]
) -> list[Keyframe]:
    """Keyframes at the edit's size `target`, from pictures of that size or of the source's aspect.

    Raises:
        KeyframeError: not one index per picture, or a picture of another shape.
    """
    if len(pictures) != len(indices):
        raise KeyframeError(f"{len(pictures)} keyframes came with {len(indices)} indices; give one index for each.")
    return [
        Keyframe(index, fit_keyframe(_picture(picture), f"Keyframe {index}", source, target))
        for index, picture in zip(indices, pictures, strict=True)
    ]


def warn_unusual(sentence: str) -> None:
    """Warn about something that was chosen for the caller or lies outside a usual range."""
    warnings.warn(sentence, UnusualSettingWarning, stacklevel=4)
