"""Still images and pixel arrays: read and write a picture, resize, and go between uint8 and [-1, 1]."""

from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from flowedit.errors import OutputError, SettingError, VideoFileError, VideoShapeError
from flowedit.files import atomic_write, only_file

Picture = UInt8[np.ndarray, "H W 3"]
Video = UInt8[np.ndarray, "F H W 3"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""What is opened, whatever the suffix: some of Pillow's other formats start programs."""
_PNG_LEVEL = 2
"""Of compression: 4 % larger than at the usual 6, in less than half the time."""
_SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def read_image(path: str | Path, *, longest: int | None = None) -> Picture:
    """Read a picture as 8-bit RGB, whatever it was stored as.

    Grey, palette and 16-bit pictures are converted, an ICC profile to sRGB; transparency is laid on white, and the
    camera's rotation (EXIF) is applied.

    Args:
        path: the file.
        longest: pixels of the longer side at most; a larger picture is shrunk by area average while it is read, in a
            fraction of the memory. None leaves it as it is.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        VideoFileError: the file is missing, or is not a picture, or is cut short.
    """
    with opened_image(Path(path)) as image:
        if longest is None or max(image.size) <= longest:
            return to_rgb(image)
        _thumbnail(image, longest)
        return _shrunk(to_rgb(image), longest)


@contextmanager
def opened_image(path: Path, formats: tuple[str, ...] = FORMATS) -> Generator[Image.Image, None, None]:
    """A picture file of one of these formats; what Pillow throws in the block becomes a VideoFileError."""
    try:
        with Image.open(only_file(path), formats=formats) as image:
            yield image
    except FileNotFoundError:
        raise VideoFileError(f"No picture at {path}; give the path of a PNG, JPEG or WebP file.") from None
    except UnidentifiedImageError:
        raise VideoFileError(f"{path} is not a picture; give a PNG, JPEG or WebP file.") from None
    except Image.DecompressionBombError as error:
        raise VideoFileError(f"{path} is too large to open ({_one_line(error)}); scale it down first.") from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged file leads Pillow's decoders to any
        raise VideoFileError(f"{path} cannot be read ({_one_line(error)}); save it again as a PNG.") from None


def write_image(path: str | Path, image: Picture) -> None:
    """Write a picture, whole or not at all, in the format of the suffix: `.png`, `.jpg` or `.webp`.

    Raises:
        OutputError: the folder cannot be written, or the disk is full, or the suffix names no picture format.
    """
    path, image = Path(path), _checked_picture(image)
    try:
        with atomic_write(path) as part:
            Image.fromarray(image).save(part, compress_level=_PNG_LEVEL)
    except ValueError as error:
        raise OutputError(f"Cannot write {path} ({_one_line(error)}); name it .png, .jpg or .webp.") from None


def resize_image(image: UInt8[np.ndarray, "H W *c"], size: tuple[int, int]) -> UInt8[np.ndarray, "h w *c"]:
    """Resize one picture: by area average when it shrinks (no aliasing), by cubic interpolation when it grows.

    Args:
        image: uint8 (H, W, C) or (H, W).
        size: the new (height, width) in pixels.

    Returns:
        uint8 of the new size; the same array when it already has it.
    """
    height, width = size
    if min(height, width) < 1:
        raise VideoShapeError(f"A picture cannot be {height}x{width}; both sides must be at least 1 pixel.")
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def resize_video(frames: Video, size: tuple[int, int]) -> UInt8[np.ndarray, "F h w 3"]:
    """Resize every frame to a (height, width) as `resize_image` does; the same array when it already has it."""
    if frames.shape[1:3] == tuple(size):
        return frames
    return np.stack([resize_image(frame, size) for frame in frames])


def to_float(pixels: UInt8[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """uint8 in [0, 255] to float32 in [-1, 1], the range that video models read: `x / 127.5 - 1`.

    >>> to_float(np.array([0, 255], np.uint8)).tolist()
    [-1.0, 1.0]
    """
    if pixels.dtype != np.uint8:
        raise SettingError(f"to_float takes uint8 pixels, got {pixels.dtype}; convert with to_uint8 first.")
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_uint8(values: np.ndarray) -> UInt8[np.ndarray, "*shape"]:
    """Floats in [-1, 1] to uint8, rounded to the nearest and clipped; the inverse of `to_float`, exactly.

    >>> to_uint8(np.array([-1.5, 0.0, 1.0], np.float32)).tolist()
    [0, 128, 255]
    """
    scaled = (np.asarray(values, dtype=np.float32) + np.float32(1)) * np.float32(127.5)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _thumbnail(image: Image.Image, longest: int) -> None:
    """Shrink in place; a JPEG is decoded small to begin with, and what has no colours to average is left for later."""
    if image.mode in ("1", "P", "PA", *_SIXTEEN_BIT):
        return
    image.thumbnail((longest, longest), Image.Resampling.BOX, reducing_gap=2.0)


def _shrunk(image: Picture, longest: int) -> Picture:
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    return resize_image(image, (max(1, round(height * factor)), max(1, round(width * factor))))


def to_rgb(image: Image.Image) -> Picture:
    """An opened picture as 8-bit sRGB, upright, on white where it is transparent."""
    image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    if image.mode in _SIXTEEN_BIT:
        grey = np.rint(np.asarray(image).astype(np.float64) / 257).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array((_in_srgb(image, profile) if profile else image).convert("RGB"))


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture in sRGB; as it is where its profile says that it is."""
    stored = ImageCms.ImageCmsProfile(BytesIO(profile))
    if "sRGB" in ImageCms.getProfileDescription(stored):
        return image
    if image.mode in ("1", "P"):
        image = image.convert("RGB")
    srgb = cast(ImageCms.ImageCmsProfile, ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType]
    converted = ImageCms.profileToProfile(image, stored, srgb, outputMode="RGB")
    return converted or image


def _checked_picture(image: np.ndarray) -> Picture:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise VideoShapeError(f"A picture is uint8 (H, W, 3); got {image.dtype} {image.shape}.")
    return np.ascontiguousarray(image)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
