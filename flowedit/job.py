"""From files to what the editor takes: a window of a video at a size the model can work at, and keyframes to match."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from flowedit.errors import KeyframeError, SettingError, VideoShapeError
from flowedit.frames import FrameMap, check_num_frames, check_size, fit_size, longest_legal, slots_of
from flowedit.keyframes import Keyframe
from flowedit.media.clip import Clip, probe, read_image, read_video, resize_image, resize_video
from flowedit.presets import ModelDefaults

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
ASPECT_TOLERANCE = 0.01
"""Relative difference of aspect under which a keyframe counts as the source's or the model's own."""


@dataclass(frozen=True, kw_only=True)
class EditJob:
    """A clip and its keyframes at the model's size, with the record of how they got there.

    Attributes:
        clip: the window of the source at its own size.
        frames: the same frames at the model's size, uint8 (F, H, W, 3).
        keyframes: styled keyframes at the model's size, by clip index.
        frame_map: source frame of every clip frame.
    """

    clip: Clip
    frames: np.ndarray
    keyframes: tuple[Keyframe, ...]
    frame_map: FrameMap

    @property
    def fps(self) -> Fraction:
        """Frames a second of the source, and so of the result."""
        return self.clip.fps

    def summary(self) -> str:
        """One line: window, sizes and keyframes."""
        num_frames, height, width = self.frames.shape[:3]
        source_height, source_width = self.clip.frames.shape[1:3]
        first = self.frame_map.start
        return (
            f"{self.clip.path.name}: frames {first} to {first + num_frames - 1} of {self.clip.total} "
            f"({num_frames} frames at {float(self.fps):.3f} fps), {source_width}x{source_height} "
            f"edited at {width}x{height}, keyframes at {', '.join(str(k.index) for k in self.keyframes) or 'none'}"
        )


def choose_window(total: int, *, start: int, num_frames: int | None, window: int) -> FrameMap:
    """The frames to edit: those asked for, or the longest legal window of the model from `start`.

    Args:
        total: frames of the source.
        start: first source frame.
        num_frames: frames asked for, `4n + 1`; None takes the longest legal number up to `window`.
        window: frames that the model edits at once.

    Raises:
        VideoShapeError: the window does not fit the source, or its length is illegal.
    """
    if not 0 <= start < total:
        raise VideoShapeError(f"--start is {start} and the video has frames 0 to {total - 1}; choose one of those.")
    left = total - start
    if num_frames is None:
        return FrameMap(start=start, num_frames=longest_legal(min(left, window)))
    check_num_frames(num_frames)
    if num_frames > left:
        raise VideoShapeError(
            f"{num_frames} frames from frame {start} reach past the video's {total}; use at most {longest_legal(left)}."
        )
    return FrameMap(start=start, num_frames=num_frames)


def load_job(
    video: Path,
    keyframes: Sequence[tuple[int, Path]],
    defaults: ModelDefaults,
    *,
    frame_map: FrameMap,
    size: tuple[int, int] | None,
    multiple: int,
) -> EditJob:
    """Read a window of a video and its keyframes, and bring both to the model's size through one map.

    Args:
        video: the source.
        keyframes: clip index and image file of each keyframe.
        defaults: what the model works at.
        frame_map: the window.
        size: (height, width) to edit at; None takes the model's own area at the clip's aspect.
        multiple: what the size must divide by.
    """
    slots_of([index for index, _ in keyframes], frame_map.num_frames)
    clip = read_video(video, start=frame_map.start, num_frames=frame_map.num_frames)
    height, width = clip.frames.shape[1:3]
    target = size or fit_size(height, width, area=defaults.area, multiple=multiple)
    check_size(*target, multiple)
    images = [Keyframe(index, _load_keyframe(path, index, (height, width), target)) for index, path in keyframes]
    return EditJob(clip=clip, frames=resize_video(clip.frames, target), keyframes=tuple(images), frame_map=frame_map)


def _load_keyframe(path: Path, index: int, source: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """A keyframe image at the model's size; it may come at the source's own size or at the model's."""
    image = read_image(path)
    size = image.shape[:2]
    if size not in (source, target):
        raise KeyframeError(
            f"Keyframe {index} ({path.name}) is {size[1]}x{size[0]}; it must have the video's size, "
            f"{source[1]}x{source[0]}, or the edit's, {target[1]}x{target[0]}. Export it at one of them."
        )
    return resize_image(image, target)


def pair_keyframes(sources: Sequence[Path], at: Sequence[int] | None) -> list[tuple[int, Path]]:
    """Image files with their pixel indices.

    Args:
        sources: image files, or one folder of them (taken in the order of their names).
        at: one pixel index per image; None reads it off the number that ends each file's name.

    Raises:
        KeyframeError: nothing found, counts that differ, or a name without a number.
    """
    files = _image_files(sources)
    if at is None:
        return sorted((_trailing_number(path), path) for path in files)
    if len(at) != len(files):
        raise KeyframeError(f"{len(files)} keyframe images came with {len(at)} indices (--at); give one per image.")
    return list(zip(at, files, strict=True))


def _image_files(sources: Sequence[Path]) -> list[Path]:
    if len(sources) == 1 and sources[0].is_dir():
        files = sorted(path for path in sources[0].iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise KeyframeError(f"The folder {sources[0]} holds no images; put PNG or JPEG keyframes into it.")
        return files
    missing = [path for path in sources if not path.is_file()]
    if missing:
        raise KeyframeError(f"No keyframe image at {missing[0]}; check the path.")
    return list(sources)


def _trailing_number(path: Path) -> int:
    digits = path.stem[len(path.stem.rstrip("0123456789")) :]
    if not digits:
        raise KeyframeError(f"The name {path.name} ends with no frame number; give the indices with --at 0,16,32.")
    return int(digits)


def parse_indices(text: str) -> list[int]:
    """`0,16,32` as numbers."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise SettingError(f"--at is {text!r}; give whole frame numbers with commas, such as 0,16,32.") from None


def parse_size(text: str) -> tuple[int, int]:
    """`96x176` as (height, width)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise SettingError(f"--size is {text!r}; give height x width, such as 480x832.")
    return int(parts[0]), int(parts[1])


def video_window(video: Path, *, start: int, num_frames: int | None, window: int) -> FrameMap:
    """`choose_window` for a file: its frames are counted first."""
    return choose_window(probe(video).num_frames, start=start, num_frames=num_frames, window=window)
