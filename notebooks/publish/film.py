"""The two short clips that come with the package: camera paths over photographs, as the clips' own card says."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import skimage

from flowedit.media.clip import write_video
from flowedit.media.clips import FOLDER
from flowedit.media.images import read_image

FRAMES, FPS = 49, Fraction(25)
Camera = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""Places in the picture, in [-0.5, 0.5] across and down, and time in [0, 1] -> places in the photograph, in [0, 1]."""


class Shot(NamedTuple):
    """A photograph, the camera over it, (height, width) of the clip, and pixels to which its width is reduced first."""

    photograph: Path
    camera: Camera
    size: tuple[int, int]
    width: int


def shots(photographs: Path) -> dict[str, Shot]:
    """Both clips by name; `photographs` is a folder of `training.photographs.fetch`."""
    coffee = Path(skimage.__file__).parent / "data" / "coffee.png"
    mountain = photographs / "picosdeeuropa_by_Aitzol_Berasategi.jpg"
    return {
        "coffee": Shot(coffee, over_a_table, (288, 432), 600),
        "mountain": Shot(mountain, along_a_path, (480, 832), 1080),
    }


def film(photographs: Path) -> list[Path]:
    """Film both clips into the package."""
    written = []
    for name, shot in shots(photographs).items():
        photograph = read_image(shot.photograph)
        share = shot.width / photograph.shape[1]
        photograph = cv2.resize(photograph, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        corner = np.array(photograph.shape[1::-1]) - 1
        y, x = (np.linspace(-0.5, 0.5, side) for side in shot.size)
        eased = (1 - np.cos(np.pi * np.linspace(0, 1, FRAMES))) / 2
        places = (np.stack(shot.camera(*np.meshgrid(x, y), t), axis=-1) * corner for t in eased)
        frames = [cv2.remap(photograph, at.astype(np.float32), None, cv2.INTER_CUBIC) for at in places]
        written.append(FOLDER / f"{name}.mp4")
        write_video(written[-1], np.stack(frames), FPS)
    return written


def over_a_table(x: np.ndarray, y: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Over a cup: the camera turns, tilts and comes nearer."""
    angle, zoom, depth = np.radians(6 - 12 * t), 0.76 - 0.14 * t, 1 + 0.16 * (2 * t - 1) * x
    u, v, c, s = 1.5 * x / depth, y / depth, np.cos(angle), np.sin(angle)
    return 0.46 + zoom * (c * u - s * v) / 1.5, 0.5 + zoom * (s * u + c * v)


def along_a_path(x: np.ndarray, y: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Along a path: what is near, low in the picture, passes faster than the peaks."""
    near, zoom = np.clip((y + 0.05) / 0.55, 0, 1) ** 1.5, 0.72 - 0.05 * t
    return 0.48 + (0.02 + 0.06 * near) * (2 * t - 1) + zoom * x, 0.57 - 0.02 * t + 0.77 * zoom * y
