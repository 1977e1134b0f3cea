"""Read video files on PyAV, frame-exactly: the frames of a window, whatever came before or after it in the file.

`write_video` and the functions on pictures are offered here too, so that callers need one module for video.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from flowedit.errors import SettingError, VideoFileError
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
from flowedit.media.index import FrameIndex, index_frames
from flowedit.media.writer import EXACT_SCALING, write_video

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

_UNSPECIFIED_COLOURS = 2
_HD_HEIGHT = 720
_KINDS = "an mp4, mov, mkv or webm video"


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        num_frames: frames that can be shown, counted in the file, not taken from its header.
        height: pixels, after the file's rotation is applied.
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
    """Consecutive frames of a video file.

    Attributes:
        frames: uint8 (F, H, W, 3), RGB.
        fps: frames a second of the file, exact.
        path: the file.
        start: index in the file of the clip's first frame.
        start_s: seconds between the file's first frame and the clip's first: what `write_video` takes as
            `audio_start_s`, right for files of a varying rate too.
        total: number of frames in the file.
        has_audio: whether the file has a sound track.
    """

    frames: Video
    fps: Fraction
    path: Path
    start: int
    start_s: Fraction
    total: int
    has_audio: bool


def probe(path: str | Path) -> VideoInfo:
    """What a video file holds, without decoding more than its first frame.

    Raises:
        VideoFileError: the file is missing, cut short, without frames, or not a video.
    """
    with _opened(Path(path)) as (container, stream):
        index = index_frames(Path(path), container, stream)
        height, width = _collect(Path(path), _frames_from(container, stream, index, 0), 0, 1).shape[1:3]
        fps = _rate(Path(path), stream)
        return VideoInfo(
            num_frames=len(index.times),
            height=height,
            width=width,
            fps=fps,
            has_audio=bool(container.streams.audio),
            duration=float(len(index.times) / fps),
        )


def read_video(path: str | Path, *, start: int = 0, num_frames: int | None = None) -> Clip:
    """Read frames `start` to `start + num_frames` of a file, exactly those, and decode little more than them.

    The rotation that phones store beside the pixels is applied. Memory holds the window's frames only.

    Args:
        path: any video that PyAV decodes.
        start: index of the first frame, from 0.
        num_frames: how many; None reads to the end.

    Raises:
        VideoFileError: the file is missing, cut short, without frames, or not a video.
        SettingError: the window does not lie inside the file.

    Example:
        >>> clip = read_video("holiday.mp4", start=30, num_frames=33)  # doctest: +SKIP
        >>> clip.frames.shape  # doctest: +SKIP
        (33, 720, 1280, 3)
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        index = index_frames(path, container, stream)
        total = len(index.times)
        count = _checked_window(path, total, start, num_frames)
        frames = _collect(path, _frames_from(container, stream, index, start), start, count)
        base = stream.time_base or Fraction(1)
        return Clip(
            frames=frames,
            fps=_rate(path, stream),
            path=path,
            start=start,
            start_s=(index.times[start] - index.times[0]) * base,
            total=total,
            has_audio=bool(container.streams.audio),
        )


def stream_video(path: str | Path, *, start: int = 0, num_frames: int | None = None) -> Iterator[Picture]:
    """The frames that `read_video` gives, one after the other, decoded once and never held together.

    Raises:
        VideoFileError, SettingError: as `read_video`, when the frame in question is reached.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        index = index_frames(path, container, stream)
        count = _checked_window(path, len(index.times), start, num_frames)
        yield from _exactly(path, _frames_from(container, stream, index, start), start, count)


@contextmanager
def _opened(path: Path) -> Generator[tuple[InputContainer, VideoStream], None, None]:
    """The file and its video stream; whatever the decoder throws becomes a VideoFileError of one line."""
    if not path.exists():
        raise VideoFileError(f"No video at {path}; give the path of {_KINDS}.")
    if path.is_dir():
        raise VideoFileError(f"{path} is a folder; give the path of {_KINDS}.")
    try:
        with av.open(str(path)) as container:
            yield container, _video_stream(path, container)
    except EOFError:
        raise VideoFileError(f"{path} holds no frames; give {_KINDS} with at least 1 frame.") from None
    except (FFmpegError, OSError) as error:
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())
        raise VideoFileError(
            f"{path} cannot be read ({reason}): it is cut short or not a video; give {_KINDS} that plays."
        ) from None


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        raise VideoFileError(f"{path} is a picture, not a video; give {_KINDS}.")
    covers = Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise VideoFileError(f"{path} has no picture track, only sound or data; give {_KINDS}.")
    streams[0].thread_type = "AUTO"
    return streams[0]


def _frames_from(container: InputContainer, stream: VideoStream, index: FrameIndex, start: int) -> Iterator[Picture]:
    """Frames from number `start` on, decoded from the nearest place before it where decoding can start."""
    target = index.times[start]
    places = [dts for pts, dts in index.entries if pts <= target]
    if not places:
        container.seek(0, backward=True)
        yield from map(_to_picture, islice(container.decode(stream), start, None))
        return
    container.seek(max(places), stream=stream, backward=True)
    for frame in container.decode(stream):
        if frame.pts is None or frame.pts >= target:
            yield _to_picture(frame)


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
    for place in range(start, start + count):
        picture = next(pictures, None)
        if picture is None:
            raise VideoFileError(f"{path} is damaged: frame {place} cannot be decoded; copy or re-encode it.")
        shape = shape or picture.shape
        if picture.shape != shape:
            raise VideoFileError(f"{path} changes size at frame {place}; re-encode it at one size.")
        yield picture


def _to_picture(frame: VideoFrame) -> Picture:
    # Files that do not say which matrix they use mean BT.709 when they are high definition: players assume it too.
    unsaid = frame.colorspace == _UNSPECIFIED_COLOURS and frame.height >= _HD_HEIGHT
    colours = Colorspace.ITU709 if unsaid else None
    picture = frame.to_ndarray(format="rgb24", interpolation=EXACT_SCALING, src_colorspace=colours)
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))


def _rate(path: Path, stream: VideoStream) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    if not rate:
        raise VideoFileError(f"{path} does not say its frame rate; re-encode it at a fixed one.")
    return Fraction(rate)


def _checked_window(path: Path, total: int, start: int, num_frames: int | None) -> int:
    if not 0 <= start < total:
        raise SettingError(f"Frame {start} is not in {path}, which has frames 0 to {total - 1}; start inside it.")
    count = total - start if num_frames is None else num_frames
    if count < 1 or start + count > total:
        raise SettingError(
            f"{num_frames} frames from frame {start} do not fit {path}, which has {total} frames; "
            f"ask for 1 to {total - start}."
        )
    return count
