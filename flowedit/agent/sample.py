"""The clip that is styled: read it once for its cuts, choose the frames to key, read those."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from flowedit.agent.colour import Picture
from flowedit.errors import SettingError, VideoShapeError
from flowedit.frames import GROUP, check_num_frames, longest_legal
from flowedit.media.clip import probe, read_video, stream_video

LONGEST_WINDOW = 81
"""Frames that a run covers where the caller names none: the clip length that Wan was trained on."""
_KEPT_BYTES = 192 * 2**20
_FEWEST_KEPT = 12
_HASHED = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A window of a video, read piece by piece.

    Attributes:
        name: what to call it in records.
        identity: changes when the pixels do.
        start: frame of the file that is clip frame 0.
        every: frames of the file that make one of the clip.
        num_frames: frames of the clip, `4n + 1`.
        frame: the clip's frame of an index, uint8 (H, W, 3); not to be written to.
        stream: all frames of the clip, one after the other.
        file: what it was read from; None for frames in memory.
    """

    name: str
    identity: str
    fps: float
    start: int = 0
    every: int = 1
    num_frames: int
    frame: Callable[[int], Picture]
    stream: Callable[[], Iterator[Picture]]
    file: Path | None = None


def file_source(path: str | Path, *, start: int = 0, num_frames: int | None = None, every: int = 1) -> Source:
    """A window of a video file, `every` frame from `start`: `num_frames` of them, or the most legal up to 81.

    Frames read last are kept, and several threads may ask at once.
    """
    path = Path(path)
    info, kept, lock = probe(path), dict[int, Picture](), threading.Lock()
    count = _window(path.name, info.num_frames, start, num_frames, every)
    most = max(_FEWEST_KEPT, _KEPT_BYTES // (info.height * info.width * 3))

    def keep(index: int, picture: Picture) -> None:
        kept[index] = picture
        if len(kept) > most:
            del kept[next(iter(kept))]

    def frame(index: int) -> Picture:
        with lock:
            if index not in kept:
                keep(index, read_video(path, start=start + index * every, num_frames=1).frames[0])
            return kept[index]

    def stream() -> Iterator[Picture]:
        for index, picture in enumerate(stream_video(path, start=start, num_frames=count, every=every)):
            if index % GROUP == 0:  # it can become a keyframe, and need not be searched for in the file again
                with lock:
                    keep(index, picture)
            yield picture

    shown = {"name": path.name, "identity": file_identity(path), "fps": float(info.fps / every), "file": path}
    return Source(**shown, start=start, every=every, num_frames=count, frame=frame, stream=stream)


def frames_source(frames: UInt8[np.ndarray, "F H W 3"], *, fps: float = 24.0, name: str = "frames") -> Source:
    """A clip that is already in memory: uint8 (F, H, W, 3), `F = 4n + 1`; `name` is what records call it."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise VideoShapeError(f"A clip is uint8 (F, H, W, 3); got {frames.dtype} {frames.shape}.")
    check_num_frames(len(frames))
    identity = hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest()
    frame, stream = frames.__getitem__, frames.__iter__
    return Source(name=name, identity=identity, fps=fps, num_frames=len(frames), frame=frame, stream=stream)


def file_identity(path: Path) -> str:
    """The same for the same file under any name: a hash of its size, its first and its last megabyte.

    A whole film would take seconds to read. Containers keep their index at one of the ends, so a change shows there.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_HASHED))
        file.seek(max(0, size - _HASHED))
        digest.update(file.read())
    return digest.hexdigest()


def choose_indices(
    num_frames: int, cuts: Sequence[int], *, wanted: int, most: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Frames to key, and shots left without, where `cuts` are the first frames of the shots after the first.

    All are the last of their latent slot's group (0, 4, 8, ...), so never two in one slot. First and last frame are
    always among them; each shot gets one while there is room, the longest shots first.

    >>> choose_indices(33, [18], wanted=3, most=10)
    ((0, 20, 32), ())
    """
    last = num_frames - 1
    chosen, missed = {0, last}, []
    for first, end in sorted(pairwise([0, *cuts, num_frames]), key=lambda shot: (shot[0] - shot[1], shot[0])):
        if any(first <= index < end for index in chosen):
            continue
        natural = -(-first // GROUP) * GROUP
        if natural < end and len(chosen) < most:
            chosen.add(natural)
        else:
            missed.append(first)
    count = min(max(wanted, len(chosen)), most, last // GROUP + 1)
    return _filled(sorted(chosen), count), tuple(sorted(missed))


def wanted_keyframes(source: Source, target_fps: float) -> int:
    """How many keyframes a rate means for this clip: one at each end and `target_fps` a second between."""
    most = source.num_frames
    return min(round(min((most - 1) / source.fps * target_fps, most)) + 1, most)


def _filled(chosen: list[int], count: int) -> tuple[int, ...]:
    """As many more as make `count`, each in what is then the widest gap, spread evenly there."""
    gaps = [(end - first) // GROUP for first, end in pairwise(chosen)]
    extra = [0] * len(gaps)
    for _ in range(count - len(chosen)):
        extra[max(range(len(gaps)), key=lambda k: (gaps[k] / (extra[k] + 1), -k))] += 1
    inside = (
        first + GROUP * round(gap * (j + 1) / (more + 1))
        for first, gap, more in zip(chosen, gaps, extra, strict=False)
        for j in range(more)
    )
    return tuple(sorted({*chosen, *inside}))


def _window(name: str, total: int, start: int, num_frames: int | None, every: int) -> int:
    if start >= total:
        raise SettingError(f"{name} has {total} frames; frame {start} is not in it. Start at 0 to {total - 1}.")
    left = -(-(total - start) // every)
    if num_frames is None:
        return longest_legal(min(LONGEST_WINDOW, left))
    check_num_frames(num_frames)
    if num_frames > left:
        raise SettingError(
            f"{num_frames} frames from frame {start} do not fit {name}, which has {total}; "
            f"use {longest_legal(left)} frames or start earlier."
        )
    return num_frames
