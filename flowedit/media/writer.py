"""Write frames as H.264 with the source's sound, or as an animated picture; a file appears only once it is whole."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, count, islice, pairwise
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from PIL import Image

from flowedit.errors import SettingError, VideoShapeError
from flowedit.files import atomic_write, unwritten
from flowedit.media.colour import EXACT_SCALING
from flowedit.media.images import Picture, Video
from flowedit.media.sound import SoundTrack, carry_sound, sound_track

SUFFIXES = (".mp4", ".mov", ".mkv")
ANIMATED = {".gif": "GIF", ".png": "PNG", ".webp": "WEBP"}
"""Suffixes of animated pictures, and what Pillow calls their formats."""
_CLOCK = Fraction(1, 90_000)
"""Seconds in which the times of frames are counted where they follow no rate."""

_Timed = tuple[Picture, tuple[Fraction, Fraction]]
"""A picture, and the seconds at which it is shown and at which it ends."""
_BT709, _LIMITED_RANGE = 1, 1
_LOOKAHEAD = "rc-lookahead=8"
"""Frames that the encoder looks ahead, and holds: by default 40, which at 3840x2160 are 0.7 GB more."""
_CRF, _PRESET = "14", "veryfast"
"""As near to the pictures as a slower encoder at 15, in two fifths of its time."""


def write_video(
    path: str | Path,
    frames: Video | Iterable[Picture],
    fps: Fraction | float | Sequence[Fraction],
    *,
    audio_from: str | Path | SoundTrack | None = None,
    audio_start_s: Fraction | float = 0,
    lossless: bool = False,
) -> None:
    """Write frames as H.264, with the matching stretch of a source's sound; or as an animated GIF, PNG or WebP.

    Plain files are yuv420p in BT.709, which every player shows; frames with an odd side keep their size, in yuv444p.
    Lossless files hold the RGB itself (`libx264rgb`, crf 0): reading one back gives the same bytes. Animated pictures
    have no sound; PNG and WebP are lossless.

    Args:
        path: `.mp4`, `.mov`, `.mkv`, `.gif`, `.png` or `.webp`; replaced when it exists.
        frames: uint8 (F, H, W, 3), or anything that yields uint8 (H, W, 3): then one frame at a time is in memory.
        fps: frames a second; `Fraction(30000, 1001)` stays exact. Or the seconds at which each frame is shown and at
            which the last one ends, F + 1, as `Clip.times`.
        audio_from: file whose default sound track is carried over, or one of its tracks: copied where players expect
            its codec, else as AAC; a file without sound is fine.
        audio_start_s: seconds after the first frame of `audio_from` where the sound starts; a `SoundTrack` has its own.
        lossless: keep every pixel exactly.

    Raises:
        VideoShapeError: no frames, or not uint8 (H, W, 3), or of several sizes.
        SettingError: the suffix or the frame rate makes no sense.
        VideoFileError: `audio_from` cannot be read.
        OutputError: the folder cannot be written, or the disk is full.
        In all of these cases, and on Ctrl-C, `path` is left as it was.
    """
    path = Path(path)
    times, rate = (list(fps), _mean(fps)) if isinstance(fps, Sequence) else (None, exact_rate(fps))
    first, pictures = _peek(_checked(frames))
    spans = pairwise(times or (i / rate for i in count()))
    if path.suffix.lower() in ANIMATED:
        return _write_animated(path, pictures, spans)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(f"Cannot write {path.name}: the suffix must be one of {', '.join([*SUFFIXES, *ANIMATED])}.")
    track = audio_from if isinstance(audio_from, SoundTrack | None) else sound_track(Path(audio_from), audio_start_s)
    length = times[-1] if times else len(frames) / rate if isinstance(frames, np.ndarray) else None
    steady = not times or all(abs(time - i / rate) <= _CLOCK for i, time in enumerate(times))
    try:
        with atomic_write(path) as part, av.open(f"file:{part}", "w", options=_muxer_options(path)) as output:
            video = _video_stream(output, first.shape, rate, lossless=lossless)
            video.codec_context.time_base = 1 / rate if steady else _CLOCK
            video.codec_context.flags |= Flags.frame_duration  # else the last frame lasts as long as the average
            sound = [] if track is None else carry_sound(track, output, length)
            _mux(output, video, zip(pictures, spans, strict=times is not None), deque(sound))
    except FFmpegError as error:  # those that are no OSError
        raise unwritten(path, error) from None


def _mux(output: OutputContainer, video: VideoStream, pictures: Iterable[_Timed], sound: deque[Packet]) -> None:
    """Encode the pictures, each with the sound that is heard until it ends."""
    tick = Fraction(video.codec_context.time_base)
    for picture, (begin, end) in pictures:
        frame = _to_frame(picture, str(video.pix_fmt))
        frame.pts, frame.time_base, frame.duration = round(begin / tick), tick, round((end - begin) / tick)
        output.mux(video.encode(frame))
        while sound and (sound[0].pts or 0) * sound[0].time_base < end:
            output.mux(sound.popleft())
    output.mux(video.encode(None))


def _write_animated(path: Path, pictures: Iterator[Picture], spans: Iterator[tuple[Fraction, Fraction]]) -> None:
    images = [Image.fromarray(picture) for picture in pictures]
    # Rounded edges, not lengths, so that what a format cannot count does not add up; GIF counts hundredths.
    unit = 10 if path.suffix.lower() == ".gif" else 1
    edges = [[round(time * 1000 / unit) * unit for time in span] for span in islice(spans, len(images))]
    lasting = [end - begin for begin, end in edges]
    with atomic_write(path) as part:
        options = {"save_all": True, "append_images": images[1:], "duration": lasting, "loop": 0, "lossless": True}
        images[0].save(part, format=ANIMATED[path.suffix.lower()], **options)


def _video_stream(output: OutputContainer, shape: tuple[int, ...], rate: Fraction, *, lossless: bool) -> VideoStream:
    height, width = shape[:2]
    codec, options = ("libx264rgb", {"crf": "0"}) if lossless else ("libx264", {"crf": _CRF, "preset": _PRESET})
    stream = output.add_stream(codec, rate=rate, options={**options, "x264-params": _LOOKAHEAD})
    stream.width, stream.height = width, height
    if lossless:
        stream.pix_fmt = "rgb24"
        return stream
    stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _to_frame(picture: Picture, pix_fmt: str) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    if pix_fmt == "rgb24":
        return frame
    return frame.reformat(
        format=pix_fmt,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=EXACT_SCALING,
    )


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


def _mean(times: Sequence[Fraction]) -> Fraction:
    """Frames a second on the average; refused where times do not go on."""
    going = len(times) > 1 and all(a < b for a, b in pairwise(times))
    return exact_rate((len(times) - 1) / (times[-1] - times[0]) if going else 0)


def exact_rate(fps: Fraction | float) -> Fraction:
    """A rate as a fraction of small numbers.

    Raises:
        SettingError: no video can run at it.
    """
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
