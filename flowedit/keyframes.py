"""Keyframes: styled images at pixel frames of a clip, and what makes them fit it; see also `encoding`."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from flowedit.errors import KeyframeError, VideoShapeError
from flowedit.frames import ClipShape, slot_of, slots_of
from flowedit.show.display import Displayed, picture_tag

if TYPE_CHECKING:
    pass

ASPECT_TOLERANCE = 0.01
"""Relative difference of aspect up to which an image has the clip's shape."""


@dataclass(frozen=True, eq=False)
class Keyframe(Displayed):
    """A styled image, uint8 (H, W, 3), at a pixel frame of the clip, from 0; a notebook shows it."""

    index: int
    image: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.index, Integral):
            raise KeyframeError(f"Keyframe index {self.index!r} is not a whole number; give a pixel frame.")
        object.__setattr__(self, "index", int(self.index))  # NumPy's become Python's, which JSON can write

    @property
    def slot(self) -> int:
        """The latent slot it lies in."""
        return slot_of(self.index)

    def _words(self) -> str:
        height, width = self.image.shape[:2]
        return f"Keyframe at frame {self.index}, slot {self.slot}, {height}x{width}"

    def _body(self) -> str:
        return f'<figure style="margin:0">{picture_tag(self.image, self._words())}</figure>'


def check_keyframes(keyframes: Sequence[Keyframe], shape: ClipShape) -> tuple[int, ...]:
    """The slots of keyframes that fit a clip."""
    for keyframe in keyframes:
        if not _is_rgb(keyframe.image):
            raise KeyframeError(
                f"Keyframe {keyframe.index} is {_kind(keyframe.image)}; an image is uint8 (H, W, 3). "
                "Read it with flowedit.media.images.read_image."
            )
    slots = slots_of([keyframe.index for keyframe in keyframes], shape.num_frames)
    for keyframe in keyframes:
        height, width = keyframe.image.shape[:2]
        if (height, width) != (shape.height, shape.width):
            raise KeyframeError(
                f"Keyframe {keyframe.index} is {height}x{width} and the clip {shape.height}x{shape.width}; "
                "resize the keyframe to the clip's size."
            )
    return slots


def fit_keyframe(image: np.ndarray, name: str, source: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
    """A styled image at the edit's size; it may come in any size of the source's shape, or of the edit's, within 1 %.

    Args:
        image: uint8 (H, W, 3).
        name: what to call it.
        source: (height, width) of the source.
        target: (height, width) of the edit.
    """
    from flowedit.media.images import resize_image  # it loads OpenCV, which lessons 01 and 02 do without

    check_shape(image.shape[:2], name, source, target)
    return resize_image(image, (target[0], target[1]))


def check_shape(size: tuple[int, ...], name: str, source: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Refuse an image of another shape than the source's and the edit's, by its (height, width); see `fit_keyframe`."""
    if not same_shape(size, source, target):
        raise KeyframeError(
            f"{name} is {size[1]}x{size[0]}; it must have the shape of the source, "
            f"{source[1]}x{source[0]}, or of the edit, {target[1]}x{target[0]}. Export it at one of those sizes, or "
            "say with --crop or --pad how to make it fit."
        )


def same_shape(size: tuple[int, ...], *others: tuple[int, ...]) -> bool:
    """Whether a (height, width) has the shape of one of others, within 1 %."""
    return any(abs(size[0] * width / (size[1] * height) - 1) <= ASPECT_TOLERANCE for height, width in others)


def cropped(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of a picture, as much of it as has the shape of a (height, width)."""
    height, width = image.shape[:2]
    h, w = min(height, round(width * size[0] / size[1])), min(width, round(height * size[1] / size[0]))
    top, left = (height - h) // 2, (width - w) // 2
    return image[top : top + h, left : left + w]


def padded(image: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """A picture laid in the middle of the frame that it was painted on without its borders, as large as fits."""
    from flowedit.media.images import resize_image

    (height, width), (h, w) = image.shape[:2], frame.shape[:2]
    h, w = min(h, round(w * height / width)), min(w, round(h * width / height))
    top, left = (frame.shape[0] - h) // 2, (frame.shape[1] - w) // 2
    whole = frame.copy()
    whole[top : top + h, left : left + w] = resize_image(image, (h, w))
    return whole


def check_frames(frames: np.ndarray) -> None:
    """Refuse what is not a clip of RGB frames, uint8 (F, H, W, 3)."""
    if not _is_rgb(frames, axes=4):
        raise VideoShapeError(
            f"The clip is {_kind(frames)}; it must be uint8 (F, H, W, 3), 0 to 255. Read it with flowedit.read_video."
        )


def _is_rgb(image: object, axes: int = 3) -> bool:
    return isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == axes and image.shape[-1] == 3


def _kind(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
