"""What the clip picker does with files: read a window at a legal size, match painted images to frames, pack frames.

What reads files is imported where it is used: it takes 60 MB, which lessons 01 and 02 on the smallest machines spare.
"""

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
from flowedit.frames import fit_size
from flowedit.keyframes import fit_keyframe


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video file, what the reader calls it, and what it holds; `target` is the (height, width) it is edited at."""

    path: Path
    name: str
    total: int
    size: tuple[int, int]
    target: tuple[int, int]
    fps: Fraction

    @classmethod
    def open(cls, path: Path, name: str, *, area: int) -> "Source":
        """Look into a video file and choose the legal size nearest to its shape, of `area` pixels or about its own."""
        from flowedit.media.clip import probe

        info = probe(path)
        size = (info.height, info.width)
        target = fit_size(*size, area=min(area, info.height * info.width), multiple=16)
        return cls(path=path, name=name, total=info.num_frames, size=size, target=target, fps=info.fps)

    def read(self, start: int, num_frames: int) -> np.ndarray:
        """A window at the size it is edited at, uint8 (F, H, W, 3); of the file's own size only one frame is held."""
        from flowedit.media.clip import resize_image, stream_video

        window = np.empty((num_frames, *self.target, 3), np.uint8)
        for place, picture in enumerate(stream_video(self.path, start=start, num_frames=num_frames)):
            window[place] = resize_image(picture, self.target)
        return window

    def fit_image(self, path: Path, name: str) -> np.ndarray:
        """A painted image at the size the clip is edited at, uint8 (H, W, 3); refuses another shape than the clip's."""
        from flowedit.media.images import read_image

        return self.fitted(read_image(path), name)

    def fitted(self, image: np.ndarray, name: str) -> np.ndarray:
        """The same of a picture in memory."""
        return fit_keyframe(image, name, self.size, self.target)

    def pictures(self, start: int, picked: Sequence[int]) -> list[np.ndarray]:
        """The picked frames of a window at the file's own size, uint8 (H, W, 3) each."""
        from flowedit.media.clip import read_video

        return [read_video(self.path, start=start + frame, num_frames=1).frames[0] for frame in picked]

    def zipped(self, start: int, picked: Sequence[int]) -> str:
        """The picked frames at the file's own size, as a data URL of a zip of PNG files named for their frames."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for frame, image in zip(picked, self.pictures(start, picked), strict=True):
                picture = io.BytesIO()
                Image.fromarray(image).save(picture, "PNG")
                archive.writestr(f"keyframe_{frame:04d}.png", picture.getvalue())
        return "data:application/zip;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def keep_upload(folder: Path, name: str, content: bytes) -> Path:
    """Write an uploaded file into `folder`, under a name that cannot lead out of it."""
    path = folder / (re.sub(r"[^\w.-]", "_", PurePath(name.replace("\\", "/")).name).lstrip(".") or "upload")
    path.write_bytes(content)
    return path


def match_image(name: str, picked: Sequence[int], filled: Mapping[int, object]) -> int:
    """The frame an image belongs to: the number that ends its name, else the first picked frame without an image.

    >>> match_image("keyframe_0016.png", [0, 16], {}), match_image("painted.png", [0, 16], {0: None})
    (16, 16)
    """
    number = re.search(r"(\d+)$", PurePath(name).stem)
    if number and int(number[1]) not in picked:
        raise KeyframeError(
            f"{name} is named for frame {int(number[1])}, which is not picked; pick it on the map, or rename the file."
        )
    if number:
        return int(number[1])
    free = [frame for frame in picked if frame not in filled]
    if not free:
        raise KeyframeError(
            f"{name} ends with no frame number and every picked frame has an image; name it name_16.png."
        )
    return free[0]
