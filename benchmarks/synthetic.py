"""A checkpoint at its full size with random weights: time and memory do not depend on what the weights are."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowedit.frames import slot_count
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape, Condition
from flowedit.wan import vendor
from flowedit.wan.adapter import Trained, WanVideo
from flowedit.wan.blocks import IMAGE_TOKENS
from flowedit.wan.checkpoints import Checkpoint, Width
from flowedit.wan.files import transformer_settings
from flowedit.wan.memory import token_count

TEXT_TOKENS, TEXT_WIDTH, IMAGE_WIDTH = 512, 4096, 1280
FULL, REHEARSAL = ClipShape(num_frames=81, height=480, width=832), ClipShape(num_frames=17, height=32, width=48)
KEYFRAMES = 5
"""Keyframes of the longer sequence; at the full size they stand at frames 0, 20, 40, 60 and 80."""
_SMALL: dict[str, Any] = {"dim": 96, "ffn_dim": 192, "num_heads": 2, "num_layers": 2}
"""Sizes of a rehearsal: the same pipeline, small enough for a CPU."""


class Bench:
    """What is measured: a checkpoint at full size on the GPU, or in a rehearsal everything small on the CPU."""

    def __init__(self, checkpoint: Checkpoint, *, small: bool = False) -> None:
        """The checkpoint's clip, device and type."""
        self.checkpoint, self.small = checkpoint, small
        self.shape = REHEARSAL if small else FULL
        self.device, self.dtype = ("cpu", torch.float32) if small else ("cuda", torch.bfloat16)


class Sightless:
    """An image encoder that sees nothing: features of the right shape, which is all that time depends on."""

    def encode_image(self, images: list[Tensor]) -> Tensor:
        """Features, ``(1, tokens, width)``, on the images' device and in their type."""
        return images[0].new_zeros(1, IMAGE_TOKENS, IMAGE_WIDTH)


def random_words(prompt: str) -> Tensor:
    """A prompt's context without a text encoder, told apart by its letters: ``(1, tokens, width)``."""
    generator = torch.Generator().manual_seed(sum(prompt.encode()))
    return torch.randn(1, TEXT_TOKENS, TEXT_WIDTH, generator=generator)


def synthetic_model(bench: Bench) -> WanVideo:
    """A checkpoint with random weights of unit gain, without text encoder and VACE layers.

    Nothing of its transformer is ever on the host.
    """
    pipe: Any = vendor.WanVideoPipeline(device=bench.device, torch_dtype=bench.dtype)
    settings: dict[str, Any] = transformer_settings(bench.checkpoint) | (_SMALL if bench.small else {})
    with torch.device("meta"):
        dit: Any = vendor.WanModel(**settings)
    pipe.dit = randomise(dit.to(bench.dtype).to_empty(device=bench.device))
    # The rotary tables are no parameters, so that they were built without memory like everything else.
    pipe.dit.freqs = vendor.precompute_freqs_cis_3d(settings["dim"] // settings["num_heads"])
    channels = bench.checkpoint.latent_channels
    vae: Any = vendor.WanVideoVAE() if channels == 16 else vendor.WanVideoVAE38()
    if bench.small:
        vae.model = type(vae.model)(dim=8, z_dim=channels, **({} if channels == 16 else {"dec_dim": 8}))
    pipe.vae = randomise(vae.to(dtype=bench.dtype, device=bench.device))
    pipe.image_encoder = Sightless()
    pipe.height_division_factor = pipe.width_division_factor = bench.checkpoint.size_multiple
    pipe.vram_management_enabled = False
    trained = Trained(segments=bench.checkpoint.image_route == "segments")
    return WanVideo(pipe, name=bench.checkpoint.name, trained=trained, words=random_words)


@torch.no_grad()
def randomise(module: Any) -> Any:  # noqa: ANN401 - the class that was given
    """Draw every weight with unit gain, so that signals keep their size through any number of layers."""
    for name, parameter in module.named_parameters():
        if name.endswith("gamma") or (parameter.ndim == 1 and name.endswith("weight")):
            parameter.fill_(1.0)
        elif parameter.ndim > 1:
            parameter.normal_(0.0, parameter[0].numel() ** -0.5)
        else:
            parameter.normal_(0.0, 0.02)
    return module.eval().requires_grad_(requires_grad=False)


def key_slots(slots: int) -> list[int]:
    """Latent slots of the keyframes: the ends, and evenly between."""
    return [round(number * (slots - 1) / (KEYFRAMES - 1)) for number in range(KEYFRAMES)]


def drawn_clip(shape: ClipShape) -> tuple[np.ndarray, list[Keyframe]]:
    """A clip of moving bands, and recoloured frames of it as keyframes."""
    times, rows, columns = np.ogrid[: shape.num_frames, : shape.height, : shape.width]
    bands = [100 * np.sin((rows * a + columns * b + 4 * times) / 40) for a, b in ((1, 2), (2, 1), (1, 1))]
    clip = (128 + np.stack(bands, axis=3)).astype(np.uint8)
    return clip, [Keyframe(4 * slot, 255 - clip[4 * slot]) for slot in key_slots(slot_count(shape.num_frames))]


def velocities(bench: Bench, model: WanVideo) -> dict[str, tuple[dict[str, Any], Callable[[], Tensor]]]:
    """Work by what the transformer sees: keyframes and operations of it, as fields of a row, and one velocity.

    Keyframes are joint tokens; of a model whose source and pictures are tokens of their own, they are such.
    """
    (clip, keyframes), entry = drawn_clip(bench.shape), bench.checkpoint
    slots = [*range(slot_count(bench.shape.num_frames))]
    pictures, at = {each.index: each.image for each in keyframes}, tuple(key_slots(len(slots)))
    own, joint = (token_count(entry, bench.shape, count) for count in (0, KEYFRAMES))
    show = partial(Condition, shape=bench.shape)
    if model.trained.segments:
        guided = show(source=clip, images=pictures, guidance=entry.guidance)
        shown = {
            "clip alone": (show(), (own // 2,)),
            "source shown": (show(source=clip), (own,)),
            "source and keyframes shown": (show(source=clip, images=pictures), (joint,)),
            "guided, all four forwards": (guided, (own // 2, own, joint, joint)),
        }
    else:
        first = {0: pictures[0]} if model.takes_images else {}
        shown = {
            "clip alone": (show(images=first), (own,)),
            "joint keyframes": (show(images=first, key_slots=at), (joint,)),
        }
    works = {}
    for name, (condition, lengths) in shown.items():
        ids = [*slots, *condition.key_slots]
        size = bench.shape.height // (entry.size_multiple // 2), bench.shape.width // (entry.size_multiple // 2)
        noise = torch.randn(1, entry.latent_channels, len(ids), *size, device=bench.device)
        about = {"tflops": sum(forward_operations(entry.width, length) for length in lengths)}
        about |= {"keyframes": KEYFRAMES} if joint in lengths else {}
        works[name] = about, partial(model.velocity, noise, 0.7, model.prepare(condition), ids)
    return works


def forward_operations(width: Width, tokens: int) -> float:
    """Floating-point operations, in 10**12, of one forward: matrix products and attention, two per multiply-add."""
    products = (6 * width.dim**2 + 2 * width.dim * width.ffn) * tokens + 2 * width.dim**2 * TEXT_TOKENS
    return 2 * width.layers * (products + 2 * width.dim * tokens * (tokens + TEXT_TOKENS)) / 1e12
