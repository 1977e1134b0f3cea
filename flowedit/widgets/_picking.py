"""What the clip picker does with files: read a window at a legal size, match painted images to frames, pack frames."""

import base64
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from flowedit.errors import KeyframeError
from flowedit.frames import fit_size, longest_legal
from flowedit.media.clip import probe, read_image, read_video, resize_image, stream_video

ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video file and what it holds.

    Attributes:
        path: the file.
        name: what it is called, for messages.
        total: frames in it.
        size: its (height, width) in pixels.
        target: the (height, width) it is edited at.
        fps: frames a second, exact.
    """

    path: Path
    name: str
    total: int
    size: tuple[int, int]
    target: tuple[int, int]
    fps: Fraction

    def longest(self, start: int, window: int) -> int:
        """The most frames that can be taken from `start`, `4n + 1` and at most `window`."""
        return longest_legal(min(self.total - start, window))

    def read(self, start: int, num_frames: int) -> np.ndarray:
        """A window at the size it is edited at, uint8 (F, H, W, 3); of the file's own size only one frame is held."""
        window = np.empty((num_frames, *self.target, 3), np.uint8)
        for place, picture in enumerate(stream_video(self.path, start=start, num_frames=num_frames)):
            window[place] = resize_image(picture, self.target)
        return window


def open_source(path: Path, name: str, *, area: int, multiple: int) -> Source:
    """Look into a video file and choose the legal size nearest to its shape.

    Args:
        path: the file.
        name: what the reader calls it.
        area: pixels a frame should have at most; a smaller clip keeps about its own area.
        multiple: what both sides must divide by.

    Raises:
        VideoFileError: not a video that can be read.
    """
    info = probe(path)
    target = fit_size(info.height, info.width, area=min(area, info.height * info.width), multiple=multiple)
    return Source(
        path=path, name=name, total=info.num_frames, size=(info.height, info.width), target=target, fps=info.fps
    )


def keep_upload(folder: Path, name: str, content: bytes) -> Path:
    """Write an uploaded file into `folder`, under a name that cannot lead out of it."""
    path = folder / (re.sub(r"[^\w.-]", "_", PurePath(name.replace("\\", "/")).name).lstrip(".") or "upload")
    path.write_bytes(content)
    return path


def match_image(name: str, picked: Sequence[int], filled: Mapping[int, object]) -> int:
    """The frame an image belongs to: the number that ends its name, else the first picked frame without an image.

    Raises:
        KeyframeError: a number that was not picked, or no picked frame left.

    >>> match_image("keyframe_0016.png", [0, 16], {}), match_image("painted.png", [0, 16], {0: None})
    (16, 16)
    """
    number = re.search(r"(\d+)$", PurePath(name).stem)
    if number:
        frame = int(number[1])
        if frame not in picked:
            raise KeyframeError(
                f"{name} is named for frame {frame}, which is not picked; pick it on the map, or rename the file."
            )
        return frame
    free = [frame for frame in picked if frame not in filled]
    if not free:
        raise KeyframeError(
            f"{name} ends with no frame number and every picked frame has an image; name it name_16.png."
        )
    return free[0]


def fit_image(path: Path, name: str, source: Source) -> np.ndarray:
    """A painted image at the size the clip is edited at, uint8 (H, W, 3).

    Raises:
        KeyframeError: another shape than the clip's.
        VideoFileError: not a picture.
    """
    image = read_image(path)
    height, width = image.shape[:2]
    if not any(_same_shape((height, width), size) for size in (source.size, source.target)):
        raise KeyframeError(
            f"{name} is {width}x{height} and the clip {source.size[1]}x{source.size[0]}; give it the clip's shape."
        )
    return resize_image(image, source.target)


def frames_zip(source: Source, start: int, picked: Sequence[int]) -> str:
    """The picked frames at the source's own size, as a data URL of a zip of PNG files named for their frames."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for frame in picked:
            picture = io.BytesIO()
            Image.fromarray(read_video(source.path, start=start + frame, num_frames=1).frames[0]).save(picture, "PNG")
            archive.writestr(f"keyframe_{frame:04d}.png", picture.getvalue())
    return "data:application/zip;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs((size[0] * other[1]) / (size[1] * other[0]) - 1) <= ASPECT_TOLERANCE
