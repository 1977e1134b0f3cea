"""The sound that belongs to a stretch of a source video, copied or re-encoded for a new file."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import groupby, pairwise
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition

from flowedit.errors import SettingError, VideoFileError
from flowedit.media.footage import footage

CODEC = "aac"
RATE = 48_000
"""Samples a second where the source's own rate is one that AAC does not have."""

_FORMAT = "fltp"
_PLAYED = frozenset({"aac", "mp3", "opus", "flac", "ac3", "eac3"})
"""Codecs that players find in an mp4; others, raw samples above all, the container would take and players stay mute."""
_GAP = Fraction(5, 1000)
"""Seconds by which a packet may be late before it counts as a gap, and the sound is filled with silence there."""
_RUN_UP = Fraction(1, 5)
"""Seconds of sound decoded before the first that is wanted: codecs need what came before."""


@dataclass(frozen=True)
class SoundTrack:
    """A file's sound track of a number from 0; the second `start` on the file's own clock becomes time 0."""

    path: Path
    number: int
    start: Fraction = Fraction(0)


def sound_track(
    path: Path, start_s: Fraction | float = 0, length: Fraction | float = 1, asked: int | None = None
) -> SoundTrack | None:
    """The sound track to carry over: the one asked for, or the file's default one; else the first that decodes.

    Args:
        path: the file.
        start_s: seconds after its first frame where the sound is wanted.
        length: seconds that are wanted.
        asked: number of a track, from 1, as players count.

    Returns:
        The track; None where the file has none that decodes.

    Raises:
        VideoFileError: the file cannot be read, or the track that was asked for cannot be decoded.
        SettingError: the track that was asked for is not there.
    """
    with _opened(path) as container:
        tracks = container.streams.audio
        if asked is not None and not 1 <= asked <= len(tracks):
            raise SettingError(f"There is no sound track {asked}: {path} has {len(tracks)}. Use 1 or more, or none.")
        numbers = sorted(range(len(tracks)), key=lambda i: not tracks[i].disposition & Disposition.default)
        pictured = bool(container.streams.video)
    start = Fraction(start_s) + (footage(path).times[0] if pictured and numbers else 0)
    for number in numbers if asked is None else [asked - 1]:
        track = SoundTrack(path, number, start)
        if _carries(track, Fraction(length)):
            return track
    if asked is not None:
        raise VideoFileError(f"Sound track {asked} of {path} cannot be decoded; choose another, or --audio none.")
    return None


def carry_sound(track: SoundTrack, output: OutputContainer, length: Fraction | None) -> list[Packet]:
    """Add a stream to `output` for a sound track, and return its packets from time 0 on, in order.

    They are copied untouched where players expect the source's codec in the output, no part is missing and all have
    the same channels, else re-encoded as AAC with silence in the gaps. `length` is in seconds; None for all there are.
    """
    packets, stream, container = _packets(track, None if length is None else track.start + length)
    with container:
        base, frames = _base(stream), list(_decoded(packets, stream))
        # An mp4 says once what channels there are: players keep silent where broadcasts go from stereo to 5.1.
        alike = len({frame.layout.name for frame in frames}) < 2
        if alike and stream.codec.canonical_name in _PLAYED & output.supported_codecs and _whole(packets, base):
            target, offset = output.add_stream_from_template(stream), round(track.start / base)
            # One packet before time 0 is kept: codecs with overlapping windows need it, and the edit list hides it.
            packets = [p for p in packets if _pts(p) + 2 * (p.duration or 0) > offset]
            for packet in packets:
                packet.pts = packet.dts = _pts(packet) - offset
        else:
            target = _encoder(stream, output, mono=all(frame.layout.nb_channels == 1 for frame in frames))
            packets = list(_encoded(frames, target, track.start))
        for packet in packets:
            packet.stream = target
        return packets


def _packets(track: SoundTrack, end: Fraction | None) -> tuple[list[Packet], AudioStream, InputContainer]:
    """Packets of a track from a little before its start on, with its stream and its file, still open."""
    for early in (max(Fraction(0), track.start - 1), None):
        container = _opened(track.path)
        stream = container.streams.audio[track.number]
        if early is not None:
            with suppress(FFmpegError):  # a file that cannot be entered midway is read from its start
                container.seek(int(early * av.time_base), backward=True)
        found, expected = [], None
        for packet in container.demux(stream):
            packet.pts = expected if packet.pts is None else packet.pts
            if not packet.size or packet.pts is None:
                continue
            expected = packet.pts + (packet.duration or 0)
            if end is not None and packet.pts * _base(stream) >= end:
                break
            if packet.pts * _base(stream) > track.start - _RUN_UP:
                found.append(packet)
        if early is None or (found and _pts(found[0]) * _base(stream) <= track.start):
            break
        container.close()
    return found, stream, container


def _whole(packets: list[Packet], base: Fraction) -> bool:
    """Whether each packet begins where the one before it ends."""
    return all(abs(_pts(b) - _pts(a) - (a.duration or 0)) * base <= _GAP for a, b in pairwise(packets))


def _carries(track: SoundTrack, length: Fraction) -> bool:
    """Whether the stretch decodes and can be carried: tried, so that nothing of it fails after the work."""
    packets, stream, container = _packets(track, track.start + length)
    with container, suppress(FFmpegError, ValueError):
        if getattr(stream, "codec_context", None) is None:
            return False
        with av.open(BytesIO(), "w", "mp4") as output:
            output.mux(carry_sound(track, output, length))
        return not packets or any(True for _ in _decoded(packets, stream))
    return False


def _decoded(packets: list[Packet], stream: AudioStream) -> Iterator[AudioFrame]:
    """The sound of packets; one that is damaged is left out, and a gap."""
    for packet in [*packets, None]:
        with suppress(FFmpegError):
            yield from stream.codec_context.decode(packet)


def _encoded(frames: list[AudioFrame], target: AudioStream, start: Fraction) -> Iterator[Packet]:
    encoder = target.codec_context
    first = place = round(start * encoder.sample_rate)
    for _, alike in groupby(frames, lambda f: (f.format.name, f.layout.name, f.sample_rate)):
        # Times are kept: gaps are filled with silence, what comes before `place` is cut off.
        options = {"async": "1", "min_hard_comp": str(float(_GAP)), "first_pts": str(place)}
        size = encoder.frame_size or 1024  # without one, sound that has the right form would pass as it is
        resampler = av.AudioResampler(_FORMAT, encoder.layout, encoder.sample_rate, size, options=options)
        for decoded in (*alike, None):
            for frame in resampler.resample(decoded):
                place = (frame.pts or 0) + frame.samples
                frame.pts = (frame.pts or 0) - first
                yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _encoder(stream: AudioStream, output: OutputContainer, *, mono: bool) -> AudioStream:
    rates = av.Codec(CODEC, "w").audio_rates or []
    rate = stream.codec_context.sample_rate
    target = output.add_stream(CODEC, rate=rate if rate in rates else RATE)
    target.codec_context.layout = "mono" if mono else "stereo"
    target.codec_context.bit_rate = 192_000
    return target


def _opened(path: Path) -> InputContainer:
    try:
        return av.open(f"file:{path}", metadata_errors="replace")
    except (FFmpegError, OSError) as error:
        raise VideoFileError(f"No sound can be read from {path} ({error}); give the source video itself.") from None


def _base(stream: AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, RATE)


def _pts(packet: Packet) -> int:
    return packet.pts or 0
