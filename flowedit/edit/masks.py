"""Masks: where an edit may change the picture, read from an image or a video, and the source kept exactly elsewhere."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.errors import VideoFileError, VideoShapeError
from flowedit.frames import group_of, slot_count
from flowedit.media.clip import probe, read_image, stream_video
from flowedit.media.sequence import is_still

Mask = Float32[np.ndarray, "F H W"]

_ALMOST = 8 / 255
"""Distance from black or white that video compression leaves; within it, black and white are meant."""


def read_mask(path: str | Path, num_frames: int, size: tuple[int, int], *, start: int = 0, every: int = 1) -> Mask:
    """Read a mask: white = edit, black = keep the source, grey = mix.

    Args:
        path: a picture, which holds for every frame, or a video, whose frames belong to the source's.
        num_frames: frames of the clip.
        size: its (height, width) in pixels; the mask is resized to it.
        start: index of the clip's first frame in the source, and so in a mask video.
        every: how many frames of either make one of the clip.

    Returns:
        float32 (F, H, W) in [0, 1].
    """
    path = Path(path)
    if is_still(path):
        return np.repeat(_as_mask(read_image(path), size)[None], num_frames, axis=0)
    there, needed = probe(path).num_frames, start + (num_frames - 1) * every + 1
    if there < needed:
        raise VideoFileError(
            f"Mask {path} has {there} frames, the clip needs {needed}: give a mask as long as the source, "
            "or a picture, which holds for every frame."
        )
    frames = stream_video(path, start=start, num_frames=num_frames, every=every)
    return np.stack([_as_mask(frame, size) for frame in frames])


def latent_mask(mask: Mask, height: int, width: int) -> Float32[np.ndarray, "f h w"]:
    """The mask on a grid of latents: a cell may change as far as any pixel of it may, in any frame of its slot."""
    frames, rows, columns = mask.shape
    cells = mask.reshape(frames, height, rows // height, width, columns // width).max(axis=(2, 4))
    return np.stack([cells[group_of(slot)].max(axis=0) for slot in range(slot_count(frames))])


def apply_mask(
    source: UInt8[np.ndarray, "F H W 3"], edited: UInt8[np.ndarray, "F H W 3"], mask: Mask
) -> UInt8[np.ndarray, "F H W 3"]:
    """The edit where the mask is 1, the source, to the last bit, where it is 0, and a mix between."""
    if source.shape != edited.shape or mask.shape != source.shape[:3]:
        raise VideoShapeError(
            f"Source {source.shape}, edit {edited.shape} and mask {mask.shape} must have the same frames and size: "
            "resize them, or read the mask for this size with read_mask."
        )
    mixed = np.empty_like(source)
    for i, change in enumerate(mask):  # frame by frame: a clip in floats is four times its size
        mixed[i] = np.rint(source[i] + change[..., None] * (edited[i].astype(np.float32) - source[i])).clip(0, 255)
    return mixed


def _as_mask(picture: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> Float32[np.ndarray, "H W"]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    clear = np.clip((grey - _ALMOST) / (1 - 2 * _ALMOST), 0, 1)
    how = cv2.INTER_AREA if size[0] * size[1] < clear.size else cv2.INTER_LINEAR
    return clear if clear.shape == size else np.clip(cv2.resize(clear, size[::-1], interpolation=how), 0, 1)
