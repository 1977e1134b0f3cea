"""From files to what the editor takes: a window of a video at a size of the model's, keyframes and mask to match.

Nothing here needs torch, so that what does not fit is said at once.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit.edit.masks import Mask, read_mask
from flowedit.errors import KeyframeError, SettingError, VideoShapeError
from flowedit.frames import check_num_frames, check_size, fit_size, longest_legal, slots_of
from flowedit.keyframes import Keyframe, cropped, fit_keyframe, padded, same_shape
from flowedit.media.clip import Clip, VideoInfo, probe, read_image, read_video, resize_image, resize_video
from flowedit.media.cuts import cuts_note
from flowedit.media.sequence import picture_files
from flowedit.media.sound import SoundTrack, sound_track
from flowedit.media.writer import exact_rate
from flowedit.models import check_loras
from flowedit.presets import model_defaults
from flowedit.run.request import EditRequest
from flowedit.runfolder import claimable

if TYPE_CHECKING:
    from flowedit.wan.lora import CheckedLora


SHOWN = 640
"""Longer side that an edit is measured and shown beside its source at; the edited video has its own size."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A clip, its keyframes and its mask at the model's size, with the record of how they got there.

    Attributes:
        clip: the window of the source at its own size; an edit may be painted over its frames, see `canvas`.
        frames: the same frames at the model's size, uint8 (F, H, W, 3).
        shown: the same at the size that they are measured and shown at.
        keyframes: styled keyframes at the model's size, by clip index.
        full_keyframes: the same at the clip's own size.
        window: source frame of every clip frame.
        mask, clip_mask: where the edit may change `frames`, and the clip; (F, H, W) in [0, 1], None for everywhere.
        names: what the keyframes' files are called.
        sound: the sound that goes with the result; None for none.
        notes: what was decided for the user, a sentence each.
        loras: what is added to the model, with what it reaches.
        begun: when reading began, on the clock of `time.perf_counter`.
    """

    clip: Clip
    frames: np.ndarray
    shown: np.ndarray
    keyframes: tuple[Keyframe, ...]
    full_keyframes: tuple[Keyframe, ...]
    window: range
    mask: Mask | None = None
    clip_mask: np.ndarray | None = None
    names: tuple[str, ...]
    sound: SoundTrack | None = None
    notes: tuple[str, ...] = ()
    loras: "Sequence[CheckedLora]" = ()
    begun: float = 0.0

    def canvas(self, *read: np.ndarray) -> np.ndarray | None:
        """The clip's own frames, to paint the edit on: one full-size video in memory, not two.

        None where a mask needs them to the end, or where they are themselves among what will be `read` again.
        """
        own = self.clip.frames
        return None if self.clip_mask is not None or any(frames is own for frames in read) else own

    @cached_property
    def lora_records(self) -> list[dict[str, Any]]:
        """What a manifest keeps of each LoRA: its file's name and hash, how strongly it was added, and where."""
        records: list[dict[str, Any]] = []
        for checked in self.loras:
            lora, reached = checked.lora, {"layers": checked.layers, "left_out": checked.left_out}
            file = {"name": lora.path.name, "sha256": sha256(lora.path)}
            records.append({**file, "strength": lora.strength, "expert": lora.expert, **reached})
        return records

    def summary(self) -> list[str]:
        """A line on window, sizes and keyframes, one on each thing that was decided for the user, and on each LoRA."""
        (num_frames, height, width), (own_height, own_width) = self.frames.shape[:3], self.clip.frames.shape[1:3]
        named = ", ".join(f"{k.index} ({name})" for k, name in zip(self.keyframes, self.names, strict=True))
        line = (
            f"{self.clip.path.name}: frames {self.window[0]} to {self.window[-1]} of {self.clip.total} "
            f"({num_frames} frames at {float(self.clip.fps):.3f} fps), {own_width}x{own_height} edited at "
            f"{width}x{height}, written at {own_width}x{own_height}; keyframes at {named or 'none'}"
        )
        return [line, *self.notes, *(lora.summary() for lora in self.loras)]


def read_inputs(request: EditRequest) -> Inputs:
    """Read the window of the video, the keyframes and the mask that a request names, and check what else it names."""
    begun = time.perf_counter()
    claimable(request.output, overwrite=request.overwrite)
    loras = check_loras(request.model, request.loras, request.settings.method)
    window, size = planned(request, probe(request.video))
    clip = read_video(request.video, start=window.start, num_frames=len(window), fps=request.fps, every=request.every)
    if request.frames_out == "gif" and min(b - a for a, b in pairwise(clip.times)) < Fraction(1, 100):
        raise SettingError("A GIF holds 100 frames a second at most: use --frames-out apng, --every 2, or --fps.")
    sound, heard = _sound(request, clip)
    own = clip.frames.shape[1:3]
    keyframes, full, resized = _keyframes(request, clip, size)
    place = {"start": request.start, "every": request.every}
    mask, clip_mask = (
        None if request.mask is None else read_mask(request.mask, len(clip.frames), each, **place)
        for each in (size, own)
    )
    left_out = [f"every {request.every}. frame is edited, the others are left out"] if request.every > 1 else []
    return Inputs(
        clip=clip,
        frames=resize_video(clip.frames, size),
        shown=resize_video(clip.frames, _shown_size(*own)),
        keyframes=keyframes,
        full_keyframes=full,
        window=window,
        mask=mask,
        clip_mask=clip_mask,
        names=tuple(path.name for _, path in request.keyframes),
        sound=sound,
        notes=(*clip.notes, *left_out, *resized, *heard, *cuts_note(clip.frames, window)),
        loras=loras,
        begun=begun,
    )


def _shown_size(height: int, width: int) -> tuple[int, int]:
    share = min(1.0, SHOWN / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share))


def planned(request: EditRequest, info: VideoInfo) -> tuple[range, tuple[int, int]]:
    """The source frames to edit, and the (height, width) that the model works at, by what the video holds.

    Raises:
        FlowEditError: what is asked for does not fit it.
    """
    defaults, settings = model_defaults(request.model), request.settings
    if settings.classical and request.placement != "auto":
        raise SettingError(
            f"placement is {request.placement!r} and method {settings.method} takes no model. Leave it out."
        )
    if request.crop and request.pad:
        raise SettingError("--crop and --pad are given; a keyframe of another shape is cut, or filled up. Give one.")
    window = choose_window(info.num_frames, request.start, request.num_frames, defaults.window, request.every)
    slots_of([index for index, _ in request.keyframes], len(window))
    exact_rate(info.fps if request.fps is None else request.fps)
    if not re.fullmatch("auto|none|[0-9]{1,4}", request.audio):
        raise SettingError(f"--audio is {request.audio!r}; give the number of a sound track from 1, auto or none.")
    own = info.height, info.width
    size = request.size or fit_size(*own, area=defaults.area, multiple=defaults.multiple)
    check_size(*size, defaults.multiple)
    return window, own if settings.classical else size


def choose_window(total: int, start: int, num_frames: int | None, longest: int, every: int = 1) -> range:
    """The frames of `total` to edit, each `every`th: as many as asked for, or the most legal ones up to `longest`."""
    if every < 1:
        raise VideoShapeError(f"--every is {every}; give 1 or more, such as 2 for every second frame.")
    if not 0 <= start < total:
        raise VideoShapeError(f"--start is {start} and the video has frames 0 to {total - 1}; choose one of those.")
    left = -(-(total - start) // every)
    num_frames = longest_legal(min(left, longest)) if num_frames is None else num_frames
    check_num_frames(num_frames)
    if num_frames > left:
        raise VideoShapeError(
            f"{num_frames} frames from frame {start} reach past the video's {total}; use at most {longest_legal(left)}."
        )
    return range(start, start + num_frames * every, every)


def _keyframes(
    request: EditRequest, clip: Clip, target: tuple[int, int]
) -> tuple[tuple[Keyframe, ...], tuple[Keyframe, ...], list[str]]:
    """The keyframes at the model's size and at the source's, and what is to be said of those of a third one."""
    source: tuple[int, int] = clip.frames.shape[1:3]
    small: list[Keyframe] = []
    full: list[Keyframe] = []
    notes: list[str] = []
    for index, path in request.keyframes:
        image, name = read_image(path), f"Keyframe {index} ({path.name})"
        height, width = image.shape[:2]
        done = f"resized to {source[1]}x{source[0]}"
        if (request.crop or request.pad) and not same_shape(image.shape[:2], source, target):
            image = cropped(image, source) if request.crop else padded(image, clip.frames[index])
            done = f"{'cut' if request.crop else 'laid on its source frame'} to the shape of {source[1]}x{source[0]}"
        small.append(Keyframe(index, fit_keyframe(image, name, source, target)))
        full.append(Keyframe(index, resize_image(image, source)))
        if (height, width) not in (source, target):
            notes.append(f"{name} is {width}x{height} and {done}")
    return tuple(small), tuple(full), notes


def _sound(request: EditRequest, clip: Clip) -> tuple[SoundTrack | None, list[str]]:
    """The sound of the result, and what is to be said of it."""
    if request.audio == "none" or not clip.has_audio:
        changed = request.audio != "none" and probe(request.video).has_audio
        return None, ["sound is left out: --fps changes the speed"] if changed else []
    asked = None if request.audio == "auto" else int(request.audio)
    sound = sound_track(clip.path, clip.start_s, clip.times[-1], asked)
    if sound is None:
        return None, ["sound is left out: no track can be decoded"]
    return sound, [f"sound: track {sound.number + 1}"] if sound.number or asked else []


def pair_keyframes(sources: Sequence[Path], at: Sequence[int] | None, every: int = 1) -> list[tuple[int, Path]]:
    """Image files with their pixel indices.

    Args:
        sources: image files, or one folder of them (taken in the order of their names, 2 before 10).
        at: one pixel index per image; None reads it off the number that ends each file's name.
        every: how many frames, as these count them, make one of the clip.
    """
    files = list(sources)
    if len(files) == 1 and files[0].is_dir():
        files = list(picture_files(sources[0]))
        if not files:
            raise KeyframeError(f"The folder {sources[0]} holds no images; put PNG or JPEG keyframes into it.")
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise KeyframeError(f"No keyframe image at {missing[0]}; check the path.")
    if at is not None and len(at) != len(files):
        raise KeyframeError(f"{len(files)} keyframe images came with {len(at)} indices (--at); give one per image.")
    pairs = sorted((_trailing_number(path), path) for path in files) if at is None else zip(at, files, strict=True)
    return [(_of_every(index, every), path) for index, path in pairs]


def _of_every(index: int, every: int) -> int:
    if every > 1 and index % every:
        raise KeyframeError(f"Keyframe {index} is at no frame that --every {every} takes: use its multiples.")
    return index // max(every, 1)


def _trailing_number(path: Path) -> int:
    digits = path.stem[len(path.stem.rstrip("0123456789")) :]
    if not digits:
        raise KeyframeError(f"The name {path.name} ends with no frame number; give the indices with --at 0,16,32.")
    return int(digits)


def sha256(*paths: Path) -> str:
    """SHA-256 of a file, in hexadecimal; of several, that of their digests one after the other."""
    digests: list[str] = []
    for path in paths:
        status = path.stat()
        digests.append(_sha256(path, (status.st_ino, status.st_size, status.st_mtime_ns)))
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


@lru_cache(maxsize=64)  # a batch asks for the same checkpoint with every clip, which is read for minutes
def _sha256(path: Path, _stamp: tuple[int, ...]) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
