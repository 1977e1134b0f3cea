"""How well the autoencoder gives a clip back: on the reference world, on held-out photographs, on a video file."""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.tiny.load import VAE_FILE, WEIGHTS, load_vae
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.world import render
from flowedit.wan import vendor
from training.lessons import load_world
from training.natural import HELD_OUT, load_images, natural_scene
from training.sequence import decode_sequence, encode_sequence


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


def video_clip(path: Path, *, frames: int = 33, height: int = 96, width: int = 176, start: int = 0) -> Tensor:
    """Read a video at the model's pixel area, cut to its aspect.

    Args:
        path: any video.
        frames: frames to read.
        height: of the result.
        width: of the result.
        start: first frame.

    Returns:
        ``(1, 3, T, H, W)`` in [-1, 1].
    """
    from flowedit.media.clip import read_video

    pictures = torch.from_numpy(read_video(path, start=start, num_frames=frames).frames).permute(0, 3, 1, 2).float()
    scale = max(height / pictures.shape[2], width / pictures.shape[3])
    size = [round(side * scale) for side in pictures.shape[2:]]
    small = F.interpolate(pictures, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    cut = small[:, :, top : top + height, left : left + width]
    return cut.transpose(0, 1).unsqueeze(0) / 127.5 - 1


@torch.no_grad()
def autoencoder_figures(model: "vendor.VideoVAE_", sets: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Measure the autoencoder on sets of clips.

    Args:
        model: diffsynth's ``VideoVAE_``.
        sets: clips ``(b, 3, T, H, W)`` in [-1, 1], by name.

    Returns:
        By name: ``mean`` PSNR in dB over clips and frames, ``worst_frame``: the lowest mean over clips of one frame
        index, ``worst_clip``: the lowest mean over frames of one clip.
    """
    figures = {}
    for name, clips in sets.items():
        psnr = torch.cat([psnr_by_frame(clip, reconstruct(model, clip)) for clip in clips.split(1)])
        figures[name] = {
            "mean": float(psnr.mean()),
            "worst_frame": float(psnr.mean(0).min()),
            "worst_clip": float(psnr.mean(1).min()),
        }
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Print the autoencoder's figures.

    ``python -m training.evaluate [--weights DIR] [--world FILE] [--video FILE ...]``

    Args:
        arguments: of the command line, the program's own by default.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the weights, the package's by default")
    parser.add_argument("--world", type=Path, help="Python file of the reference world")
    parser.add_argument("--scenes", type=int, default=12, help="scenes of the reference world, plain and styled")
    parser.add_argument("--video", type=Path, action="append", default=[], help="a video file; may be given again")
    given = parser.parse_args(arguments)
    sets = {"held-out photographs": held_out_clips()}
    if given.world:
        every = exam_clips(given.world, 6 * given.scenes, scenes=given.scenes)
        sets["reference world, plain"] = every[::6]
        for offset, style in enumerate(("colour matrix", "posterised", "posterised and inked")):
            sets[f"reference world, {style}"] = every[2 * offset + 1 :: 6]
    sets |= {path.name: video_clip(path) for path in given.video}
    vae = load_vae(given.weights / VAE_FILE)
    for name, clips in sets.items():
        row = autoencoder_figures(vae.model, {name: clips})[name]
        texts = (f"{key.replace('_', ' ')} {value:.2f} dB" for key, value in row.items())
        sys.stdout.write(f"{name}: {', '.join(texts)}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
