"""Where the frames of a video stream are, found by reading its packets without decoding them."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from flowedit.errors import VideoFileError


@dataclass(frozen=True)
class FrameIndex:
    """Where the frames of a stream are.

    Attributes:
        times: presentation time of every frame, sorted, in units of the stream's time base.
        entries: (presentation, decoding) times where decoding can start; empty where the file cannot be entered midway.
    """

    times: list[int]
    entries: list[tuple[int, int]]


class _PacketTimes(NamedTuple):
    """What the index needs of a packet, copied so that the packet's bytes can go."""

    pts: int | None
    dts: int | None
    duration: int
    entry: bool
    hidden: bool
    damaged: bool

    @classmethod
    def of(cls, packet: Packet) -> "_PacketTimes":
        duration = packet.duration or 0
        return cls(packet.pts, packet.dts, duration, packet.is_keyframe, packet.is_discard, packet.is_corrupt)


def index_frames(path: Path, container: InputContainer, stream: VideoStream) -> FrameIndex:
    """Read through the file without decoding it, and refuse it when frames that it promises are missing."""
    # The demuxer closes with an empty packet.
    packets = [_PacketTimes.of(packet) for packet in container.demux(stream) if packet.size]
    shown = [packet for packet in packets if not packet.hidden]
    if not shown:
        raise VideoFileError(f"{path} holds no frames; give a video with at least 1 frame.")
    times = sorted(packet.pts for packet in shown if packet.pts is not None)
    timed = len(times) == len(shown) == len(set(times))
    if any(packet.damaged for packet in packets) or (timed and _ends_early(stream, packets, times)):
        raise VideoFileError(
            f"{path} is cut short: {len(shown)} frames are there, fewer than its header names; copy it again."
        )
    if not timed:
        return FrameIndex(list(range(len(shown))), [])
    return FrameIndex(
        times, [(p.pts, p.pts if p.dts is None else p.dts) for p in packets if p.entry and p.pts is not None]
    )


def _ends_early(stream: VideoStream, packets: list[_PacketTimes], times: list[int]) -> bool:
    """Whether the last frame ends well before the length in the header: by more than the longest frame and a half."""
    promised = _promised_end(stream)
    last = max((p.pts or 0) + p.duration for p in packets)
    longest = max(np.diff(times), default=max(1, last - times[-1]))
    return promised is not None and bool(promised - last > 1.5 * longest)


def _promised_end(stream: VideoStream) -> float | None:
    """Where the header says that the stream ends, in units of its time base; None when it does not say."""
    base = stream.time_base or Fraction(1)
    if stream.duration is not None:
        return (stream.start_time or 0) + stream.duration
    clock = stream.metadata.get("DURATION", "")
    if clock.count(":") != 2:
        return None
    hours, minutes, seconds = clock.split(":")
    return float((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) / base)
