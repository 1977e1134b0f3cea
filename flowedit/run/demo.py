"""The demo's own inputs: a clip of the procedural world and keyframes of it in a named look."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowedit.media.clip import write_image, write_video
from flowedit.tiny.looks import look
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.world import render, sample_scene

FRAMES, FPS = 33, Fraction(16)
AT = (0, 16, 32)


@dataclass(frozen=True, kw_only=True)
class DemoInputs:
    """What the demo edits.

    Attributes:
        video: the source clip's file.
        keyframes: clip index and image file of each styled keyframe.
        caption: words for the scene.
        truth: the clip in the look, which an edit should reach, uint8 (F, H, W, 3).
    """

    video: Path
    keyframes: list[tuple[int, Path]]
    caption: str
    truth: np.ndarray


def make_demo(folder: Path, *, style: str, scene: int, size: tuple[int, int] = (288, 512)) -> DemoInputs:
    """Render a clip and three styled keyframes into a folder.

    Args:
        folder: where `source.mp4` and `keyframes/` go; made if need be.
        style: a named look of the small model's world, such as `watercolour`.
        scene: which of the held-out scenes, from 0.
        size: (height, width) of a frame.

    Returns:
        The files, and the true result.
    """
    g = generator(Split.TEST, scene)
    clip = render(sample_scene(g, 1, FRAMES), *size)
    truth = _frames(stylize(clip, look(style, g)))
    (folder / "keyframes").mkdir(parents=True, exist_ok=True)
    write_video(folder / "source.mp4", _frames(clip.rgb), FPS)
    files: list[tuple[int, Path]] = []
    for index in AT:
        path = folder / "keyframes" / f"frame-{index:04d}.png"
        write_image(path, truth[index])
        files.append((index, path))
    return DemoInputs(video=folder / "source.mp4", keyframes=files, caption=f"{style} {clip.captions[0]}", truth=truth)


def _frames(video: Tensor) -> np.ndarray:
    return (video[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
