"""Clips made for the tests: every frame carries its own number in its pixels, and the sound beeps once a second."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

HEIGHT, WIDTH, BITS = 32, 64, 8
RATE = 48_000
BEEP = 0.02
"""Seconds of a beep, which begins at 0.5 s, 1.5 s, ... of the picture's own time."""


def numbered(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture whose eight vertical bars, black or white, are the bits of its number, over a pattern that moves."""
    bits = [number >> (BITS - 1 - place) & 1 for place in range(BITS)]
    picture = np.repeat(np.array(bits, np.uint8) * 200 + 28, width // BITS)[None, :, None].repeat(height, 0)
    return np.ascontiguousarray(picture.repeat(3, 2))


def number_of(picture: np.ndarray) -> int:
    """The number that a picture carries."""
    columns = picture.astype(float).mean(axis=(0, 2)).reshape(BITS, -1).mean(axis=1)
    return int("".join(str(int(column > 128)) for column in columns), 2)


def make(
    path: Path,
    codec: str,
    count: int = 80,
    *,
    rate: Fraction | int = 25,
    options: dict[str, str] | None = None,
    times: Sequence[Fraction] | None = None,
    sound: str | None = None,
    sound_late: Fraction | float = 0,
    container: str | None = None,
    **attributes: Any,
) -> Path:
    """A file of `count` numbered frames; `times` are their own times, `sound_late` seconds are missing at its start."""
    with av.open(str(path), "w", format=container) as output:
        video = output.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, attributes.pop("pix_fmt", "yuv420p")
        for name, value in attributes.items():
            setattr(video.codec_context, name, value)
        base = Fraction(1, 90_000) if times is not None else 1 / Fraction(rate)
        if times is not None:
            video.codec_context.time_base = base
        audio = None if sound is None else output.add_stream(sound, rate=RATE)
        shown = times or [Fraction(i) / Fraction(rate) for i in range(count + 1)]
        if audio is not None:
            audio.codec_context.layout = "mono"
            beeps = _beeps(float(shown[-1]))
        for i, (begin, end) in enumerate(pairwise(shown)):
            frame = av.VideoFrame.from_ndarray(numbered(i % 256), format="rgb24")
            frame.pts, frame.time_base = round(begin / base), base
            output.mux(video.encode(frame))
            if audio is not None:
                a, b = (round(max(float(edge), float(sound_late)) * RATE) for edge in (begin, end))
                if b > a:
                    output.mux(audio.encode(_audio(beeps[a:b], a)))
        output.mux(video.encode(None))
        if audio is not None:
            output.mux(audio.encode(None))
    return path


def _beeps(seconds: float) -> np.ndarray:
    samples = np.zeros(round(seconds * RATE) + 1, np.float32)
    tone = 0.8 * np.sin(np.arange(round(BEEP * RATE)) * 2 * np.pi * 1000 / RATE)
    for begin in range(RATE // 2, len(samples) - len(tone), RATE):
        samples[begin : begin + len(tone)] = tone
    return samples


def _audio(samples: np.ndarray, place: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), place
    converter = av.AudioResampler()
    return converter.resample(frame)[0]


def beeps_in(path: Path) -> list[float]:
    """Seconds after the first picture at which the beeps of a file begin."""
    with av.open(str(path)) as container:
        zero = next(container.decode(container.streams.video[0])).time
    starts: list[float] = []
    last = -1.0
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            loud = np.abs(frame.to_ndarray()).max(axis=0) > 0.25 * (1 if "flt" in frame.format.name else 32768)
            for place in np.flatnonzero(loud):
                now = frame.time - zero + place / frame.sample_rate
                if now - last > 0.1:
                    starts.append(now)
                last = now
    return starts


def beheaded(source: Path, path: Path, size: int) -> Path:
    """A copy without its first bytes, as a recording that was begun midway."""
    path.write_bytes(source.read_bytes()[size:])
    return path


def remuxed(
    source: Path, path: Path, first: int = 0, *, sound_gap: tuple[float, float] = (0.0, 0.0), hidden: Sequence[int] = ()
) -> Path:
    """A copy without the first packets of the picture or the sound of a stretch; VP8 packets marked as not shown."""
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in given.streams}
        seen = 0
        for packet in given.demux():
            if not packet.size:
                continue
            pictured = packet.stream.type == "video"
            seen += pictured
            now = packet.pts * packet.time_base
            if (pictured and seen <= first) or (not pictured and sound_gap[0] <= now < sound_gap[1]):
                continue
            if pictured and seen - 1 in hidden:
                data = bytearray(bytes(packet))
                data[0] &= ~16
                timed, packet = packet, av.Packet(bytes(data))
                packet.pts, packet.dts, packet.time_base = timed.pts, timed.dts, timed.time_base
                packet.is_keyframe = timed.is_keyframe
            packet.stream = streams[timed.stream_index if pictured and seen - 1 in hidden else packet.stream_index]
            output.mux(packet)
    return path
