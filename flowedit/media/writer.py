"""Write frames as an H.264 file with the source's sound; the file appears under its name only once it is whole."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream

from flowedit.errors import SettingError, VideoFileError, VideoShapeError
from flowedit.files import atomic_write, unwritten
from flowedit.media.images import Picture, Video
from flowedit.media.sound import Sound, carry_sound

SUFFIXES = (".mp4", ".mov", ".mkv")
EXACT_SCALING = int(
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
"""Scaler flags for RGB <-> YUV: without them every colour comes back 1 to 1.5 grey levels too dark."""

_BT709, _LIMITED_RANGE = 1, 1
_CRF = "15"


def write_video(
    path: str | Path,
    frames: Video | Iterable[Picture],
    fps: Fraction | float,
    *,
    audio_from: str | Path | None = None,
    audio_start_s: Fraction | float = 0,
    lossless: bool = False,
) -> None:
    """Write frames as H.264, with the matching stretch of a source's sound.

    Plain files are yuv420p in BT.709, which every player shows; frames with an odd side keep their size, in yuv444p.
    Lossless files hold the RGB itself (`libx264rgb`, crf 0): reading one back gives the same bytes.

    Args:
        path: `.mp4`, `.mov` or `.mkv`; replaced when it exists.
        frames: uint8 (F, H, W, 3), or anything that yields uint8 (H, W, 3): then one frame at a time is in memory.
        fps: frames a second; `Fraction(30000, 1001)` stays exact.
        audio_from: file whose first sound track is carried over: copied where players expect its codec, else as
            AAC; a file without sound is fine.
        audio_start_s: seconds after the first frame of `audio_from` where the sound starts.
        lossless: keep every pixel exactly.

    Raises:
        VideoShapeError: no frames, or not uint8 (H, W, 3), or of several sizes.
        SettingError: the suffix or the frame rate makes no sense.
        VideoFileError: `audio_from` cannot be read.
        OutputError: the folder cannot be written, or the disk is full.
        In all of these cases, and on Ctrl-C, `path` is left as it was.
    """
    path, rate = Path(path), _exact_rate(fps)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(f"Cannot write {path.name}: the suffix must be one of {', '.join(SUFFIXES)}.")
    first, pictures = _peek(_checked(frames))
    try:
        with atomic_write(path) as part, ExitStack() as files:
            source = None if audio_from is None else files.enter_context(_open_sound(Path(audio_from)))
            output = files.enter_context(av.open(str(part), "w", options=_muxer_options(path)))
            video = _video_stream(output, first.shape, rate, lossless=lossless)
            sound = None if source is None else carry_sound(source, output, Fraction(audio_start_s))
            _mux(output, video, pictures, sound)
    except FFmpegError as error:  # those that are no OSError
        raise unwritten(path, error) from None


def _mux(output: OutputContainer, video: VideoStream, pictures: Iterable[Picture], sound: Sound | None) -> None:
    period = 1 / Fraction(video.codec_context.framerate)
    for i, picture in enumerate(pictures):
        output.mux(video.encode(_to_frame(picture, i, period, str(video.pix_fmt))))
        if sound is not None:
            output.mux(list(sound.until((i + 1) * period)))
    output.mux(video.encode(None))
    if sound is not None:
        output.mux(list(sound.finish()))


def _video_stream(output: OutputContainer, shape: tuple[int, ...], rate: Fraction, *, lossless: bool) -> VideoStream:
    height, width = shape[:2]
    codec, options = ("libx264rgb", {"crf": "0"}) if lossless else ("libx264", {"crf": _CRF})
    stream = output.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height = width, height
    if lossless:
        stream.pix_fmt = "rgb24"
        return stream
    stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _to_frame(picture: Picture, index: int, period: Fraction, pix_fmt: str) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    if pix_fmt != "rgb24":
        frame = frame.reformat(
            format=pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT_SCALING,
        )
    frame.pts, frame.time_base = index, period
    return frame


def _checked(frames: Iterable[Picture]) -> Iterator[Picture]:
    shape = None
    for i, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise VideoShapeError(
                f"Frame {i} is {frame.dtype} {frame.shape}; a video takes uint8 (H, W, 3): convert with to_uint8."
            )
        shape = shape or frame.shape
        if frame.shape != shape:
            raise VideoShapeError(f"Frame {i} is {frame.shape}, frame 0 {shape}; all must have one size: resize them.")
        yield frame


def _peek(pictures: Iterator[Picture]) -> tuple[Picture, Iterator[Picture]]:
    first = next(pictures, None)
    if first is None:
        raise VideoShapeError("A video needs at least 1 frame; got 0.")
    return first, chain([first], pictures)


def _exact_rate(fps: Fraction | float) -> Fraction:
    try:
        rate = Fraction(fps).limit_denominator(1001)
    except (ValueError, OverflowError, TypeError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise SettingError(f"A video cannot run at {fps} frames a second; give a rate above 0 and up to 1000.")
    return rate


def _muxer_options(path: Path) -> dict[str, str]:
    """The index goes to the front of mp4 and mov files, so that a player can start before it has read them whole."""
    return {} if path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}


def _open_sound(path: Path) -> InputContainer:
    try:
        return av.open(str(path))
    except (FFmpegError, OSError) as error:
        raise VideoFileError(f"No sound can be read from {path} ({error}); give the source video itself.") from None
