"""Photographs under a moving camera: two freely licensed ones of scikit-image's wheel are held out from training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from torch import Tensor

from flowedit.errors import ModelError
from flowedit.tiny.textures import lines, uniform
from flowedit.tiny.world import GROUND, Scene, sample_scene

HELD_OUT = ("coffee.png", "rocket.jpg")
"""Images that no training ever reads; the benchmark does."""


def image_folder() -> Path:
    """Where scikit-image keeps the images of its wheel."""
    return Path(skimage.__file__).parent / "data"


def load_images(names: Sequence[str], side: int = 384) -> Tensor:
    """Images of scikit-image's wheel, the middle square of each, ``(n, 3, side, side)`` in [0, 1].

    Raises:
        ModelError: an image is missing.
    """
    found = []
    for name in names:
        path = image_folder() / name
        if not path.is_file():
            raise ModelError(f"scikit-image's wheel holds no {name}: install scikit-image 0.24 or newer.")
        with Image.open(path) as image:
            picture = image.convert("RGB")
            edge = min(picture.size)
            left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
            picture = picture.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.LANCZOS)
        found.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)
    return torch.stack(found)


def natural_scene(g: torch.Generator, pictures: Tensor, frames: int, shapes: float) -> Scene:
    """Scenes whose background are pictures ``(b, 3, S, S)`` in [0, 1] under a moving camera.

    In a share of them, `shapes`, procedural shapes move before the picture.
    """
    batch = len(pictures)
    scene = sample_scene(g, batch, frames)
    ground = camera_path(g, batch, frames).unsqueeze(2) * GROUND
    hidden = (uniform(g, batch, 1) < shapes).float()
    return replace(
        scene,
        to_local=torch.cat([ground, scene.to_local[:, :, 1:]], dim=2),
        ground=torch.cat([pictures, lines(pictures)], dim=1),
        there=scene.there * hidden,
    )


def camera_path(g: torch.Generator, batch: int, frames: int) -> Tensor:
    """Draw camera paths over a picture: pan, zoom and rotation at a steady speed.

    ``(b, T, 2, 3)``, from screen coordinates to the picture's, where the picture spans [-1, 1].
    """
    time = torch.arange(frames, device=g.device).view(1, frames) / 32
    half = uniform(g, batch, 1, low=0.3, high=0.75)
    growth = uniform(g, batch, 1, low=-0.35, high=0.35) * (uniform(g, batch, 1) < 0.6)
    turn = uniform(g, batch, 1, low=-0.5, high=0.5) * (uniform(g, batch, 1) < 0.45)
    angle = uniform(g, batch, 1, low=-0.3, high=0.3) + turn * time
    middle = uniform(g, batch, 1, 2, low=-0.3, high=0.3)
    speed = torch.randn(batch, 1, 2, generator=g, device=g.device) * 0.3 * (uniform(g, batch, 1, 1) < 0.85)
    scale = half * torch.exp(growth * time)
    where = middle + speed * (time - 0.5).unsqueeze(-1)
    linear = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)], -2
    )
    return torch.cat([linear * scale[..., None, None], where.unsqueeze(-1)], dim=-1)
