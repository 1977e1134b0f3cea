"""Clips that are pictures: a folder or pattern of files, and animated GIF, PNG and WebP."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path

from PIL import Image, ImageSequence

from flowedit.errors import VideoFileError
from flowedit.media.images import FORMATS, Picture, opened_image, read_image, to_rgb

RATE = 24
"""Frames a second of pictures, which say none."""
_ANIMATED = ("GIF", "PNG", "WEBP")
_UNSAID_MS = 100
"""Milliseconds that a frame without a duration lasts, as browsers show it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reel:
    """Frames that can be read.

    Attributes:
        path: the file, folder or pattern.
        times: seconds, on the clock that its sound shares, at which each frame is shown, and at which the last one
            ends: one more than there are frames.
        fps: frames a second; the average where the rate varies.
        size: (height, width) of the pictures.
        notes: what is decided for the user to make pictures of the frames.
        sounds: number of sound tracks.
        files: the file, or the pictures of a sequence.
    """

    path: Path
    times: tuple[Fraction, ...]
    fps: Fraction
    size: tuple[int, int]
    notes: tuple[str, ...] = ()
    sounds: int = 0
    files: tuple[Path, ...]

    def pictures(self, start: int) -> Iterator[Picture]:
        """The pictures from number `start` on."""
        raise NotImplementedError


class Pictures(Reel):
    """The frames of a sequence or an animation."""

    def pictures(self, start: int) -> Iterator[Picture]:
        """Each read from its file, or from the animation."""
        if self.path not in self.files:
            yield from (read_image(file) for file in self.files[start:])
        else:
            with opened_image(self.path, _ANIMATED) as image:
                yield from (to_rgb(frame) for frame in islice(_animated(image), start, None))


def is_sequence(path: Path) -> bool:
    """Whether a path is a folder, or a pattern such as `shot.%04d.png` or `shot.*.png`."""
    return path.is_dir() or (not path.exists() and re.search(r"%0?\d*d|[*?]", path.name) is not None)


def picture_files(path: Path) -> tuple[Path, ...]:
    """The pictures of a folder or pattern in natural order, `2` before `10`; content decides, hidden files are none."""
    found = path.iterdir() if path.is_dir() else path.parent.glob(re.sub(r"%0?\d*d", "*", path.name))
    return tuple(sorted((file for file in found if file.name[0] != "." and _holds_picture(file)), key=natural))


def natural(path: Path) -> list[tuple[int, int | str]]:
    """A key that sorts names as people count: numbers by their value."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", path.name) if part]


def sequence(path: Path) -> Pictures:
    """The pictures of a folder or pattern as a clip of 24 frames a second; none, or a broken one, is refused."""
    files = picture_files(path)
    if not files:
        raise VideoFileError(f"{path} is a folder or pattern without pictures; give a video, or PNG or JPEG files.")
    times = tuple(Fraction(i, RATE) for i in range(len(files) + 1))
    note = f"{len(files)} pictures, {files[0].name} to {files[-1].name}, at {RATE} frames a second unless --fps says"
    size = read_image(files[0]).shape[:2]
    return Pictures(path=path, times=times, fps=Fraction(RATE), size=size, notes=(note,), files=files)


def is_animation(path: Path) -> bool:
    """Whether a file is a GIF, PNG or WebP of several pictures."""
    if not _holds_picture(path, _ANIMATED):
        return False
    with opened_image(path, _ANIMATED) as image:
        return getattr(image, "n_frames", 1) > 1


def is_still(path: Path) -> bool:
    """Whether a file is one picture."""
    return _holds_picture(path) and not is_animation(path)


def animation(path: Path) -> Pictures:
    """The frames of an animated picture, each at its own time; a broken one is refused."""
    status = path.stat()
    return _animation(path, (status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=8)
def _animation(path: Path, _stamp: tuple[int, ...]) -> Pictures:
    with opened_image(path, _ANIMATED) as image:
        lasting: list[Fraction] = []
        for frame in _animated(image):
            frame.load()  # a WebP says it then
            lasting.append(Fraction(frame.info.get("duration") or _UNSAID_MS).limit_denominator(1000) / 1000)
        times = tuple(accumulate(lasting, initial=Fraction(0)))
        size = (image.height, image.width)
    return Pictures(path=path, times=times, fps=Fraction(len(lasting)) / times[-1], size=size, files=(path,))


def _animated(image: Image.Image) -> Iterator[Image.Image]:
    frames = ImageSequence.Iterator(image)
    return islice(frames, int(getattr(image, "default_image", False)), None)


def _holds_picture(file: Path, formats: tuple[str, ...] = FORMATS) -> bool:
    try:
        with opened_image(file, formats):
            return True
    except VideoFileError:
        return False
