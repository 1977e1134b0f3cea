"""The sound that belongs to a stretch of a source video, copied or re-encoded for a new file."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import Protocol, runtime_checkable

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

CODEC = "aac"
RATE = 48_000
"""Samples a second where the source's own rate is one that AAC does not have."""

_FORMAT = "fltp"
_PLAYED = frozenset({"aac", "mp3", "opus", "flac", "ac3", "eac3"})
"""Codecs that players find in an mp4; others, raw samples above all, the container would take and players stay mute."""


@runtime_checkable
class Sound(Protocol):
    """Sound on its way to an output file; the caller asks for it in step with the pictures."""

    def until(self, end: Fraction) -> Iterator[Packet]:
        """Packets of the sound before `end` seconds that were not handed out yet."""
        ...

    def finish(self) -> Iterator[Packet]:
        """What the encoder still holds, after the last `until`."""
        ...


def carry_sound(source: InputContainer, output: OutputContainer, start_s: Fraction) -> Sound | None:
    """Add a stream to `output` for the first sound track of `source`; None when it has none.

    The packets are copied untouched where players expect the source's codec in the output, else re-encoded as AAC.

    Args:
        source: the opened source file.
        output: the file being written, before its first packet.
        start_s: seconds after the source's first video frame that become time 0 of the output.
    """
    if not source.streams.audio:
        return None
    stream = source.streams.audio[0]
    reference = source.streams.video[0] if source.streams.video else stream
    zero = (reference.start_time or 0) * (reference.time_base or Fraction(1))
    # A second of run-up, so that the packet before the first one wanted is seen too; without an index it is a no-op.
    source.seek(max(0, int((zero + start_s - 1) * av.time_base)), backward=True)
    if stream.codec.canonical_name in _PLAYED & output.supported_codecs:
        return CopiedSound(source, stream, output.add_stream_from_template(stream), zero + start_s)
    return EncodedSound(source, stream, _encoder(stream, output), zero + start_s)


class CopiedSound:
    """Packets of a stream, moved in time and otherwise untouched.

    Args:
        source: the opened source.
        stream: its audio stream.
        target: the output's stream.
        start: seconds on the source's own clock that become time 0.
    """

    def __init__(self, source: InputContainer, stream: AudioStream, target: AudioStream, start: Fraction) -> None:
        self._base = stream.time_base or Fraction(1, RATE)
        self._offset = round(start / self._base)
        self._target = target
        self._packets = ((packet.pts, packet) for packet in source.demux(stream) if packet.pts is not None)

    def until(self, end: Fraction) -> Iterator[Packet]:
        """Packets that begin before `end` seconds."""
        limit = self._offset + round(end / self._base)
        for time, packet in self._packets:
            if time >= limit:
                self._packets = chain([(time, packet)], self._packets)
                return
            # One packet before time 0 is kept: codecs with overlapping windows need it, and the edit list hides it.
            if time + 2 * (packet.duration or 0) > self._offset:
                packet.pts = packet.dts = time - self._offset
                packet.stream = self._target
                yield packet

    def finish(self) -> Iterator[Packet]:
        """Nothing: a copy holds nothing back."""
        return iter(())


class EncodedSound:
    """Sound decoded, cut to the sample, and encoded again.

    Args:
        source: the opened source.
        stream: its audio stream.
        target: the output's stream, an encoder.
        start: seconds on the source's own clock that become time 0.
    """

    def __init__(self, source: InputContainer, stream: AudioStream, target: AudioStream, start: Fraction) -> None:
        self._target, self._encoder = target, target.codec_context
        self._rate = self._encoder.sample_rate
        self._pieces = self._decoded(source, stream, round(start * self._rate))

    def until(self, end: Fraction) -> Iterator[Packet]:
        """Packets of the samples before `end` seconds."""
        limit = round(end * self._rate)
        for time, samples in self._pieces:
            if time + samples.shape[1] > limit:
                split = max(0, limit - time)
                self._pieces = chain([(time + split, samples[:, split:])], self._pieces)
                yield from self._packets(time, samples[:, :split])
                return
            yield from self._packets(time, samples)

    def finish(self) -> Iterator[Packet]:
        """The encoder's last packets."""
        return self._mine(self._encoder.encode(None))

    def _packets(self, time: int, samples: np.ndarray) -> Iterator[Packet]:
        if not samples.size:
            return
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), _FORMAT, self._encoder.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), time
        yield from self._mine(self._encoder.encode(frame))

    def _mine(self, packets: list[Packet]) -> Iterator[Packet]:
        for packet in packets:
            packet.stream = self._target
            yield packet

    def _decoded(self, source: InputContainer, stream: AudioStream, first: int) -> Iterator[tuple[int, np.ndarray]]:
        """Pairs (place, float32 samples (channels, n)) from sample `first` of the source on, whose place is 0."""
        resampler = av.AudioResampler(_FORMAT, self._encoder.layout, self._rate)
        clock = None
        for frame in chain.from_iterable(resampler.resample(decoded) for decoded in source.decode(stream)):
            if clock is None:
                clock = round((frame.pts or 0) * (frame.time_base or Fraction(1, self._rate)) * self._rate) - first
            samples = frame.to_ndarray().astype(np.float32, copy=False)
            if clock + frame.samples > 0:
                early = max(0, -clock)
                yield clock + early, samples[:, early:]
            clock += frame.samples


def _encoder(stream: AudioStream, output: OutputContainer) -> AudioStream:
    rates = av.Codec(CODEC, "w").audio_rates or []
    rate = stream.codec_context.sample_rate
    target = output.add_stream(CODEC, rate=rate if rate in rates else RATE)
    target.codec_context.layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
    target.codec_context.bit_rate = 192_000
    return target
