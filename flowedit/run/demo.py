"""The demo's own inputs: a clip of the procedural world and keyframes of it in a named look."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowedit.files import make_folder
from flowedit.media.clip import write_image, write_video
from flowedit.tiny.looks import look
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.world import render, sample_scene

FRAMES, FPS = 33, Fraction(16)
AT = (0, 16, 32)


@dataclass(frozen=True, kw_only=True)
class DemoInputs:
    """What the demo edits: a clip's file, index and image file of each styled keyframe, and words for the scene."""

    video: Path
    keyframes: list[tuple[int, Path]]
    caption: str


def make_demo(folder: Path, *, style: str, scene: int, size: tuple[int, int] = (288, 512)) -> DemoInputs:
    """Render `source.mp4` and `keyframes/` into a folder, which is made if need be.

    Args:
        folder: where they go.
        style: a named look of the small model's world, such as `watercolour`.
        scene: which of the held-out scenes, from 0.
        size: (height, width) of a frame.
    """
    g = generator(Split.TEST, scene)
    clip = render(sample_scene(g, 1, FRAMES), *size)
    styled = _frames(stylize(clip, look(style, g)))
    pictures = make_folder(folder / "keyframes")
    write_video(folder / "source.mp4", _frames(clip.rgb), FPS)
    files = [(index, pictures / f"frame-{index:04d}.png") for index in AT]
    for index, path in files:
        write_image(path, styled[index])
    return DemoInputs(video=folder / "source.mp4", keyframes=files, caption=f"{style} {clip.captions[0]}")


def _frames(video: Tensor) -> np.ndarray:
    return (video[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
