"""A look at the header of a video, where many are checked before any is read: opened once, nothing decoded."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError

from flowedit.errors import FlowEditError
from flowedit.media.clip import VideoInfo
from flowedit.media.colour import square_size
from flowedit.media.footage import UNREADABLE, video_stream

_STREAMS = 16
_PLACES = {0: (12, 40), 1: (20, 52)}
"""Where a track's header has its number and its display matrix, by the header's version (ISO/IEC 14496-12)."""
_UPRIGHT = bytes.fromhex("00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000")


def glance(path: Path) -> VideoInfo | None:
    """What `probe` says, by the index of an MP4 or MOV alone; None where there is none, or it leaves a doubt.

    The frames that the index names are believed to decode, and the rate is their average.
    """
    if not path.is_file():
        return None
    # FFmpeg would decode frames to learn of pictures what the index does not say.
    undecoded: list[Any] = [{"skip_frame": "all"}] * _STREAMS
    with (
        suppress(FlowEditError, FFmpegError, OSError, ValueError, LookupError),
        path.open("rb") as file,
        av.open(file, metadata_errors="replace", stream_options=undecoded) as container,
        mmap(file.fileno(), 0, access=ACCESS_READ) as held,
    ):
        if isinstance(container, InputContainer) and container.format.name.startswith("mov,"):
            return _indexed(path, container, held)
    return None


def _indexed(path: Path, container: InputContainer, held: mmap) -> VideoInfo | None:
    """What the index says of a whole, ordinary film; None for any other."""
    stream = video_stream(path, container)
    samples, rate, base, codec = stream.index_entries, stream.average_rate, stream.time_base, stream.codec_context
    whole = samples[0].is_keyframe and all(not one.is_discard and one.pos + one.size <= len(held) for one in samples)
    if not (whole and rate and base and stream.duration) or int(codec.colorspace) in UNREADABLE:
        return None
    width, height = square_size(codec.width, codec.height, Fraction(stream.sample_aspect_ratio or 1))
    if _lies(held, stream.id):
        width, height = height, width
    return VideoInfo(
        num_frames=len(samples),
        height=height,
        width=width,
        fps=rate,
        has_audio=len(container.streams.audio) > 0,
        duration=float(stream.duration * base),
    )


def _lies(held: mmap, track: int) -> bool:
    """Whether the pictures of a track are stored turned by a quarter; a `LookupError` where the film does not say."""
    with memoryview(held) as whole:
        (film,) = _boxes(whole, "moov", "mvhd")
        if bytes(film[_PLACES[film[0]][1] - 4 :][:36]) != _UPRIGHT:
            raise LookupError
        for head in _boxes(whole, "moov", "trak", "tkhd"):
            number, matrix = _PLACES[head[0]]
            if int.from_bytes(head[number : number + 4]) == track:
                a, b = (int.from_bytes(head[at : at + 4], signed=True) for at in (matrix, matrix + 4))
                return abs(b) > abs(a)
    raise LookupError


def _boxes(data: memoryview, kind: str, *inner: str) -> Iterator[memoryview]:
    """What is in the boxes of a kind, or in those of another kind within them."""
    while len(data) >= 8:
        size, start = int.from_bytes(data[:4]), 8
        if size == 1:
            size, start = int.from_bytes(data[8:16]), 16
        if data[4:8] == kind.encode():
            yield from _boxes(data[start : size or None], *inner) if inner else [data[start : size or None]]
        data = data[size or len(data) :]
