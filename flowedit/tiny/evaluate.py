"""How well the autoencoder gives a clip back: on the reference world, on held-out photographs, on a video file."""

from pathlib import Path

import torch
from torch import Tensor

from flowedit.tiny.feed import load_world
from flowedit.tiny.natural import HELD_OUT, load_images, natural_scene
from flowedit.tiny.sequence import decode_sequence, encode_sequence
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.world import render
from flowedit.wan import vendor


def psnr_by_frame(truth: Tensor, other: Tensor) -> Tensor:
    """PSNR of every frame after rounding to 8 bits.

    Args:
        truth: ``(b, 3, T, H, W)`` in [-1, 1].
        other: the same shape.

    Returns:
        ``(b, T)`` in dB, at most 90.
    """
    a, b = ((x.float().clamp(-1, 1) * 127.5 + 127.5).round() / 255 for x in (truth, other))
    return -10 * torch.log10((a - b).pow(2).mean((1, 3, 4)) + 1e-9)


def reconstruct(model: "vendor.VideoVAE_", video: Tensor) -> Tensor:
    """Encode and decode clips.

    Args:
        model: diffsynth's ``VideoVAE_``.
        video: ``(b, 3, T, H, W)`` in [-1, 1].

    Returns:
        The same shape, in [-1, 1].
    """
    mean, _ = encode_sequence(model, video)
    return decode_sequence(model, mean).float().clamp(-1, 1)


def exam_clips(path: Path, number: int, seed: int = 7, scenes: int = 12) -> Tensor:
    """Render the reference world's scenes, plain and styled as the reference figures style them.

    Args:
        path: file of the reference world.
        number: how many clips of ``scenes`` plain ones and as many of each of three styles to return, plain and
            styled alternating.
        seed: of the scenes.
        scenes: how many scenes the world draws.

    Returns:
        ``(number, 3, 33, 128, 128)`` in [-1, 1].
    """
    world, g = load_world(path), torch.Generator().manual_seed(seed)
    rgb, ink, _ = world.render(scenes, 33, g)
    plain, styled = [], []
    for post, line in ((False, 0.0), (True, 0.0), (True, 0.9)):
        style = world.sample_style(scenes, g, 0.0, strong=True)
        style["post"][:], style["lev"][:], style["es"][:] = post, 4.0, line
        styled.append(world.stylize(rgb, ink, style))
        plain.append(rgb)
    clips = torch.stack([torch.cat(plain), torch.cat(styled)], dim=1).flatten(0, 1)
    order = torch.arange(len(clips)).view(3, scenes, 2).transpose(0, 1).flatten()
    return clips[order][:number].transpose(1, 2) * 2 - 1


def held_out_clips(frames: int = 33, height: int = 128, width: int = 128, images: Path | None = None) -> Tensor:
    """Film the held-out photographs, four camera paths each.

    Args:
        frames: frames a clip.
        height: of a frame.
        width: of a frame.
        images: folder of the photographs.

    Returns:
        ``(8, 3, T, H, W)`` in [-1, 1].
    """
    pictures = load_images(list(HELD_OUT), folder=images).repeat_interleave(4, 0)
    scene = natural_scene(generator(Split.TEST, 0), pictures, frames, shapes=0.0)
    return render(scene, height, width).rgb.transpose(1, 2) * 2 - 1
