"""Video files through PyAV: the frames that decode, each at its own time, and how to reach one of them."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EAGAIN, ENOMEM
from fractions import Fraction
from functools import lru_cache
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from flowedit.errors import VideoFileError
from flowedit.files import only_file
from flowedit.media.colour import deinterlaced, remarks, to_picture
from flowedit.media.images import Picture
from flowedit.media.sequence import Reel

KINDS = "an mp4, mov, mkv or webm video"
_HEAD = 16
"""Packets that are decoded to see whether a file's packets tell which frames it holds."""
UNREADABLE = {14, 15}
"""Matrices of BT.2100's ICtCp and of Dolby Vision's IPT, which FFmpeg's scaler takes for others."""
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage(Reel):
    """The frames of a video file.

    Attributes:
        entries: (shown, decoded) in the stream's units, where decoding can begin; empty where only at the start.
        pixel_aspect: width of a stored pixel by its height.
        interlaced: whether its frames are made of two fields.
    """

    entries: tuple[tuple[int, int], ...]
    pixel_aspect: Fraction
    interlaced: bool

    def pictures(self, start: int) -> Iterator[Picture]:
        """Decoded from the nearest place that leads to the first."""
        before = min(start, 1) if self.interlaced else 0  # a field is filled in from the frames around it
        frames = self._frames(start - before)
        if self.interlaced:
            frames = islice(deinterlaced(frames), before, None)
        yield from (to_picture(frame, self.pixel_aspect) for frame in frames)

    def _frames(self, start: int) -> Iterator[VideoFrame]:
        with opened(self.path) as (_, stream):
            wanted = round(self.times[start] / _base(stream))
        # A place counts where its own picture is the first: within an intra refresh some are missing, others wrong.
        for shown, place in sorted(entry for entry in self.entries if entry[0] <= wanted)[:-4:-1]:
            with opened(self.path) as (container, stream):
                container.seek(place, stream=stream, backward=True)
                frames = _from(shown, _decoded(container, stream))
                entered = next(frames, None)
                frames = _from(wanted, chain(filter(None, [entered]), frames))
                first = next(frames, None)
                if entered is not None and entered.pts == shown and first is not None and first.pts == wanted:
                    yield first
                    yield from frames
                    return
        with opened(self.path) as (container, stream):
            yield from islice(_decoded(container, stream), start, None)


def _from(pts: int, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The frames from the first that is shown then or later."""
    return dropwhile(lambda frame: frame.pts is None or frame.pts < pts, frames)


def footage(path: Path) -> Footage:
    """The frames of a video file, read through once, and again when it has changed; a broken one is refused."""
    with opened(path):
        status = path.stat()
    return _footage(path, (status.st_size, status.st_mtime_ns, status.st_ino))


@contextmanager
def opened(path: Path) -> Generator[tuple[InputContainer, VideoStream], None, None]:
    """The file and its video stream; whatever the decoder throws becomes a VideoFileError of one line."""
    if not path.exists():
        raise VideoFileError(f"No video at {path}; give the path of {KINDS}.")
    try:
        # A name with a colon is no protocol, and a title need not be UTF-8.
        with av.open(f"file:{only_file(path)}", metadata_errors="replace") as container:
            yield container, video_stream(path, container)
    except EOFError:
        raise VideoFileError(f"{path} holds no frames; give {KINDS} with at least 1 frame.") from None
    except (FFmpegError, OSError, ValueError, ArithmeticError) as error:
        if getattr(error, "errno", 0) in (EAGAIN, ENOMEM):  # no memory, or none for another thread
            raise MemoryError from None
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())
        raise VideoFileError(
            f"{path} cannot be read ({reason}): it is cut short or not a video; give {KINDS} that plays."
        ) from None


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The film of a file; without one, or in a codec that is not here, a `VideoFileError`."""
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        raise VideoFileError(f"{path} is a picture, not a video; give {KINDS}.")
    covers = Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise VideoFileError(f"{path} has no picture track, only sound or data; give {KINDS}.")
    if getattr(streams[0], "codec_context", None) is None:
        raise VideoFileError(f"{path} is in a codec that cannot be decoded here; convert it to H.264.")
    streams[0].thread_type = "AUTO"
    return streams[0]


def _decoded(container: InputContainer, stream: VideoStream, packets: int | None = None) -> Iterator[VideoFrame]:
    """The frames of the file from where it stands: of so many packets, or to its end."""
    decoder = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and decoder.name in _ALPHA_DECODERS:
        # FFmpeg's own decoders leave transparency out.
        decoder = cast(VideoCodecContext, CodecContext.create(_ALPHA_DECODERS[decoder.name], "r"))
    for packet in islice((packet for packet in container.demux(stream) if packet.size), packets):
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


class _PacketTimes(NamedTuple):
    """What the index needs of a packet, copied so that the packet's bytes can go."""

    pts: int | None
    dts: int | None
    duration: int
    entry: bool
    hidden: bool
    damaged: bool

    @classmethod
    def of(cls, packet: Packet, codec: str) -> "_PacketTimes":
        # VP8 marks frames that are decoded only for others to refer to (RFC 6386, section 9.1).
        hidden = packet.is_discard or (codec == "vp8" and not bytes(packet)[0] & 16)
        return cls(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, hidden, packet.is_corrupt)


@lru_cache(maxsize=32)
def _footage(path: Path, _stamp: tuple[int, ...]) -> Footage:
    with opened(path) as (container, stream):
        codec = stream.codec_context.name
        packets = [_PacketTimes.of(packet, codec) for packet in container.demux(stream) if packet.size]
        if int(stream.codec_context.colorspace) in UNREADABLE:
            raise VideoFileError(f"{path} is HDR in a form (ICtCp or Dolby Vision) that is not read; convert it.")
        first, interlaced, shown = _shown(path, packets, stored=container.format.name != "avi")
        times = _filled(shown)
        if (packets and packets[-1].damaged) or (times and _ends_early(stream, packets, times)):
            raise VideoFileError(f"{path} is cut short: it holds {len(shown)} frames, fewer than its header names.")
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        fps, seconds = _clock(path, stream, packets, times, len(shown))
        entries = [(p.pts, p.pts if p.dts is None else p.dts) for p in packets if p.entry and p.pts is not None]
        return Footage(
            path=path,
            files=(path,),
            times=seconds,
            fps=fps,
            size=to_picture(first, aspect).shape[:2],
            notes=remarks(first, aspect, interlaced=interlaced),
            sounds=len(container.streams.audio),
            entries=tuple(entries) if times else (),
            pixel_aspect=aspect,
            interlaced=interlaced,
        )


def _shown(path: Path, packets: Sequence[_PacketTimes], *, stored: bool) -> tuple[VideoFrame, bool, list[int | None]]:
    """The first frame, whether the frames are interlaced, and when each that decodes is shown.

    The packets are believed where the first of them decode to the frames that they tell of; else all are decoded.
    """
    told, head = _told(packets, stored=stored), _HEAD + next((i for i, p in enumerate(packets) if p.entry), 0)
    with opened(path) as (container, stream):
        frames = _decoded(container, stream, head)
        first = next(frames, None)
        if first is None:
            raise VideoFileError(f"{path} holds no frames; give {KINDS} with at least 1 frame.")
        seen = [(first.pts, first.interlaced_frame), *((frame.pts, frame.interlaced_frame) for frame in frames)]
    interlaced = any(fields for _, fields in seen)
    if told is not None and [pts for pts, _ in seen] == _told(packets[:head], stored=stored):
        return first, interlaced, [*told]
    with opened(path) as (container, stream):
        shown = [frame.pts for frame in _decoded(container, stream)]
    return first, interlaced, shown if stored or told is not None else [None] * len(shown)


def _filled(shown: Sequence[int | None]) -> list[int] | None:
    """The times, those that are missing or out of order spread between their neighbours; None where most are."""
    known = np.array([place for place, pts in enumerate(shown) if pts is not None], np.int64)
    times = np.array([shown[place] for place in known], np.int64)
    kept = (times == np.maximum.accumulate(times)) & (times == np.minimum.accumulate(times[::-1])[::-1])
    if 2 * kept.sum() < len(shown):
        return None
    times = np.interp(np.arange(len(shown)), known[kept], times[kept]).round().astype(np.int64)
    return times.tolist() if all(np.diff(times) > 0) else None


def _told(packets: Sequence[_PacketTimes], *, stored: bool) -> list[int] | None:
    """When frames are shown as far as packets tell: from the first place where decoding can begin on.

    Not every format has it `stored`; what FFmpeg makes up for reordered frames is too late.
    """
    entry = next((i for i, packet in enumerate(packets) if packet.entry), None)
    if entry is None or (not stored and any(packet.pts != packet.dts for packet in packets)):
        return None
    shown = [packet for packet in packets[entry:] if not packet.hidden]
    times = [packet.pts for packet in (packets[entry], *shown) if packet.pts is not None]
    if len(times) <= len(shown) or len(set(times)) < len(shown):
        return None
    return sorted({pts for pts in times if pts >= times[0]})


def _clock(
    path: Path, stream: VideoStream, packets: Sequence[_PacketTimes], times: Sequence[int] | None, count: int
) -> tuple[Fraction, tuple[Fraction, ...]]:
    """Frames a second, and the seconds at which each frame is shown and the last one ends."""
    rates = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    base, decoded = _base(stream), [p.dts for p in packets if p.dts is not None and not p.hidden]
    if times is None and len(decoded) == count and not any(np.diff(decoded) <= 0):
        times = decoded
    if times is None:
        times = range(count)
        base = 1 / _required(path, rates)
    for rate in rates:  # exact where rounding to the file's units explains the difference
        if np.abs(np.array(times) - times[0] - np.arange(count) / float(rate * base)).max() <= 1:
            return rate, tuple(times[0] * base + i / rate for i in range(count + 1))
    last = next((p.duration for p in packets if p.pts == times[-1]), 0)
    if count == 1:
        return _required(path, rates), (times[0] * base, times[0] * base + (last * base or 1 / rates[0]))
    end = times[-1] + (last or round(float(np.median(np.diff(times)))))
    mean = Fraction(count, round((end - times[0]) * base * 90_000)) * 90_000
    return mean.limit_denominator(1001), tuple(time * base for time in (*times, end))


def _required(path: Path, rates: Sequence[Fraction]) -> Fraction:
    if not rates:
        raise VideoFileError(f"{path} does not say its frame rate; re-encode it at a fixed one.")
    return rates[0]


def _base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1)


def _ends_early(stream: VideoStream, packets: Sequence[_PacketTimes], times: Sequence[int]) -> bool:
    """Whether the last frame ends well before the length in the header: by more than the longest frame and a half."""
    promised = _promised_end(stream)
    last = max((p.pts or 0) + p.duration for p in packets)
    longest = max(np.diff(times), default=max(1, last - times[-1]))
    return promised is not None and bool(promised - last > 1.5 * longest)


def _promised_end(stream: VideoStream) -> float | None:
    """Where the header says that the stream ends, in units of its time base; None when it does not say."""
    if stream.duration is not None:
        return (stream.start_time or 0) + stream.duration
    clock = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,2}):([0-9]{1,2}\.?[0-9]*)", stream.metadata.get("DURATION", ""))
    if clock is None:
        return None
    return float((int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])) / _base(stream))
