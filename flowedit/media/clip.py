"""Read clips frame-exactly, from video files, animated pictures and sequences of pictures.

`write_video` and the functions on pictures are offered here too, so that callers need one module for video.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from flowedit.errors import SettingError, VideoFileError
from flowedit.media.footage import footage
from flowedit.media.images import (
    Picture,
    Video,
    read_image,
    resize_image,
    resize_video,
    to_float,
    to_uint8,
    write_image,
)
from flowedit.media.sequence import Reel, animation, is_animation, is_sequence, sequence
from flowedit.media.writer import exact_rate, write_video

__all__ = [
    "Clip",
    "Picture",
    "Video",
    "VideoInfo",
    "probe",
    "read_image",
    "read_video",
    "resize_image",
    "resize_video",
    "stream_video",
    "to_float",
    "to_uint8",
    "write_image",
    "write_video",
]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video holds.

    Attributes:
        num_frames: frames that can be shown: those that decode.
        height: pixels, after the file's rotation is applied and its pixels are made square.
        width: pixels, likewise.
        fps: frames a second, exact (30000/1001 for NTSC); the average where the rate varies.
        has_audio: whether it has a sound track.
        duration: seconds that the frames last.
    """

    num_frames: int
    height: int
    width: int
    fps: Fraction
    has_audio: bool
    duration: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """Consecutive frames of a video.

    Attributes:
        frames: uint8 (F, H, W, 3), RGB.
        fps: frames a second, exact; the average where the rate varies.
        times: seconds after the clip's first frame at which each frame is shown, and at which the last one ends: F + 1.
        path: the file, folder or pattern.
        start: index in the file of the clip's first frame.
        start_s: seconds between the file's first frame and the clip's first: what `write_video` takes as
            `audio_start_s`, right for files of a varying rate too.
        total: number of frames in the file.
        has_audio: whether the file has a sound track.
        notes: what was decided for the user to read it, a phrase each.
        files: the file, or the pictures of a sequence.
    """

    frames: Video
    fps: Fraction
    times: tuple[Fraction, ...]
    path: Path
    start: int
    start_s: Fraction
    total: int
    has_audio: bool
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def probe(path: str | Path) -> VideoInfo:
    """What a video holds, decoding no more of it than that takes; a `VideoFileError` says why it is none."""
    source = _source(Path(path))
    return VideoInfo(
        num_frames=len(source.times) - 1,
        height=source.size[0],
        width=source.size[1],
        fps=source.fps,
        has_audio=source.sounds > 0,
        duration=float(source.times[-1] - source.times[0]),
    )


def read_video(
    path: str | Path,
    *,
    start: int = 0,
    num_frames: int | None = None,
    fps: Fraction | float | None = None,
    every: int = 1,
) -> Clip:
    """Read frames `start`, `start + every`, ... of a video, exactly those, and decode little more than them.

    Pictures come as players show them: upright, with square pixels, deinterlaced, in BT.709; `Clip.notes` says what
    that took. Memory holds the window's frames only.

    Args:
        path: any video that PyAV decodes, a GIF, APNG or animated WebP, a folder of pictures, or a pattern such as
            `shot.%04d.png` or `shot.*.png`.
        start: index of the first frame, from 0.
        num_frames: how many; None reads to the end.
        fps: frames a second in place of the video's own, which its sound does not follow.
        every: 2 takes every second frame, each of which lasts until the next that is taken.

    Raises:
        VideoFileError: the file is missing, cut short, without frames, or not a video.
        SettingError: the window does not lie inside the file, or no video can run at that rate.

    Example:
        >>> clip = read_video("holiday.mp4", start=30, num_frames=33)  # doctest: +SKIP
        >>> clip.frames.shape  # doctest: +SKIP
        (33, 720, 1280, 3)
    """
    path, source = Path(path), _source(Path(path))
    total = len(source.times) - 1
    count = _checked_window(path, total, start, num_frames, every)
    own, rate = source.times, source.fps / every if fps is None else exact_rate(fps)
    times = (own[min(start + i * every, total)] - own[start] for i in range(count + 1))
    return Clip(
        frames=_collect(path, islice(source.pictures(start), 0, None, every), start, count),
        fps=rate,
        times=tuple(times if fps is None else (i / rate for i in range(count + 1))),
        path=path,
        start=start,
        start_s=own[start] - own[0],
        total=total,
        has_audio=source.sounds > 0 and fps is None,
        notes=source.notes,
        files=source.files,
    )


def stream_video(
    path: str | Path, *, start: int = 0, num_frames: int | None = None, every: int = 1
) -> Iterator[Picture]:
    """The frames that `read_video` gives or refuses, one after the other, decoded once and never held together."""
    path, source = Path(path), _source(Path(path))
    count = _checked_window(path, len(source.times) - 1, start, num_frames, every)
    yield from _exactly(path, islice(source.pictures(start), 0, None, every), start, count)


def _source(path: Path) -> Reel:
    if is_sequence(path):
        return sequence(path)
    return animation(path) if is_animation(path) else footage(path)


def _collect(path: Path, pictures: Iterator[Picture], start: int, count: int) -> Video:
    """The next `count` pictures as one array, filled in place so that no second copy is ever held."""
    clip = np.empty((0, 0, 0, 3), np.uint8)
    for place, picture in enumerate(_exactly(path, pictures, start, count)):
        if place == 0:
            clip = np.empty((count, *picture.shape), np.uint8)
        clip[place] = picture
    return clip


def _exactly(path: Path, pictures: Iterator[Picture], start: int, count: int) -> Iterator[Picture]:
    """The next `count` pictures, all of one size; fewer are a fault of the file."""
    shape: tuple[int, ...] = ()
    place = start - 1
    for place, picture in enumerate(islice(pictures, count), start):
        shape = shape or picture.shape
        if picture.shape != shape:
            raise VideoFileError(f"{path} changes size at frame {place}; re-encode it at one size.")
        yield picture
    if place + 1 < start + count:
        raise VideoFileError(f"{path} is damaged: frame {place + 1} cannot be decoded; copy or re-encode it.")


def _checked_window(path: Path, total: int, start: int, num_frames: int | None, every: int) -> int:
    if not 0 <= start < total:
        raise SettingError(f"Frame {start} is not in {path}, which has frames 0 to {total - 1}; start inside it.")
    left = -(-(total - start) // every)
    count = left if num_frames is None else num_frames
    if not 1 <= count <= left:
        raise SettingError(
            f"{num_frames} frames from frame {start} do not fit {path}, which has {total} frames; ask for 1 to {left}."
        )
    return count
