"""A checkpoint at its full size with random weights: time and memory do not depend on what the weights are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu import KEYFRAMES, Bench
from flowedit.frames import slot_count
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape
from flowedit.wan import vendor
from flowedit.wan.adapter import WanVideo, positions
from flowedit.wan.blocks import IMAGE_TOKENS
from flowedit.wan.checkpoints import Width
from flowedit.wan.files import transformer_settings

TEXT_TOKENS, TEXT_WIDTH = 512, 4096
IMAGE_WIDTH = 1280
_SMALL: dict[str, Any] = {"dim": 96, "ffn_dim": 192, "num_heads": 2, "num_layers": 2}
"""Sizes of a rehearsal: the same pipeline, small enough for a CPU."""


class Wordless(WanVideo):
    """A model whose prompts are random contexts, told apart by their letters: for pipelines without a text encoder."""

    def _context(self, prompt: str) -> Tensor:
        generator = torch.Generator().manual_seed(sum(prompt.encode()))
        context = torch.randn(1, TEXT_TOKENS, TEXT_WIDTH, generator=generator)
        return context.to(device=self.pipe.device, dtype=self.pipe.torch_dtype)


class Sightless:
    """An image encoder that sees nothing: features of the right shape, which is all that time depends on."""

    def encode_image(self, images: list[Tensor]) -> Tensor:
        """Features, ``(1, tokens, width)``, on the images' device and in their type."""
        return images[0].new_zeros(1, IMAGE_TOKENS, IMAGE_WIDTH)


def synthetic_pipeline(bench: Bench, *, vae: bool = True) -> "vendor.WanVideoPipeline":
    """The vendor's pipeline of a checkpoint with random weights of unit gain, without text and image encoder.

    Args:
        bench: the checkpoint, whose VACE layers are left out; nothing of its transformer is ever on the host.
        vae: whether the VAE is wanted.
    """
    pipe: Any = vendor.WanVideoPipeline(device=bench.device, torch_dtype=bench.dtype)
    settings: dict[str, Any] = transformer_settings(bench.checkpoint) | (_SMALL if bench.small else {})
    with torch.device("meta"):
        dit: Any = vendor.WanModel(**settings)
    pipe.dit = randomise(dit.to(bench.dtype).to_empty(device=bench.device))
    # The rotary tables are no parameters, so that they were built without memory like everything else.
    pipe.dit.freqs = vendor.precompute_freqs_cis_3d(settings["dim"] // settings["num_heads"])
    if vae:
        pipe.vae = synthetic_vae(bench)
    pipe.height_division_factor = pipe.width_division_factor = bench.checkpoint.size_multiple
    pipe.vram_management_enabled = False
    return pipe


def synthetic_vae(bench: Bench) -> "vendor.WanVideoVAE":
    """A checkpoint's VAE with random weights, with few channels in a rehearsal."""
    channels = bench.checkpoint.latent_channels
    vae: Any = vendor.WanVideoVAE() if channels == 16 else vendor.WanVideoVAE38()
    if bench.small:
        vae.model = type(vae.model)(dim=8, z_dim=channels, **({} if channels == 16 else {"dec_dim": 8}))
    return randomise(vae.to(dtype=bench.dtype, device=bench.device))


def forward_inputs(pipe: Any, bench: Bench, keyframes: int = 0) -> dict[str, Any]:  # noqa: ANN401 - the vendor's
    """Random arguments of one call of the vendor's model function, with latent frames of joint keyframes."""
    generator = torch.Generator().manual_seed(0)
    stride, channels = bench.checkpoint.size_multiple // 2, bench.checkpoint.latent_channels
    frames = slot_count(bench.shape.num_frames) + keyframes
    grid = (frames, bench.shape.height // stride, bench.shape.width // stride)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator).to(device=pipe.device, dtype=pipe.torch_dtype)

    inputs: dict[str, Any] = {
        "dit": pipe.dit,
        "latents": draw(1, channels, *grid),
        "timestep": torch.tensor([700.0]).to(device=pipe.device, dtype=pipe.torch_dtype),
        "context": draw(1, TEXT_TOKENS, TEXT_WIDTH),
    }
    if bench.checkpoint.image_route == "i2v":
        inputs["y"] = draw(1, pipe.dit.in_dim - channels, *grid)
    if pipe.dit.has_image_input:
        inputs["clip_feature"] = draw(1, IMAGE_TOKENS * (2 if pipe.dit.has_image_pos_emb else 1), IMAGE_WIDTH)
    return inputs


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
    """Latent slots of the joint keyframes: the ends, and evenly between."""
    return [round(number * (slots - 1) / (KEYFRAMES - 1)) for number in range(KEYFRAMES)]


def drawn_clip(shape: ClipShape) -> tuple[np.ndarray, list[Keyframe]]:
    """A clip of moving bands, and recoloured frames of it as keyframes."""
    times, rows, columns = np.ogrid[: shape.num_frames, : shape.height, : shape.width]
    bands = [100 * np.sin((rows * a + columns * b + 4 * times) / 40) for a, b in ((1, 2), (2, 1), (1, 1))]
    clip = (128 + np.stack(bands, axis=3)).astype(np.uint8)
    return clip, [Keyframe(4 * slot, 255 - clip[4 * slot]) for slot in key_slots(slot_count(shape.num_frames))]


def forward_of(bench: Bench, pipe: Any, keyframes: int) -> Callable[[], Tensor]:  # noqa: ANN401 - the vendor's pipeline
    """One forward of the clip with joint keyframes, through whatever blocks the pipeline has now."""
    slots = slot_count(bench.shape.num_frames)
    inputs, at = forward_inputs(pipe, bench, keyframes), [*range(slots), *key_slots(slots)[:keyframes]]

    @torch.inference_mode()
    def forward() -> Tensor:
        with positions(pipe.dit, at):
            return pipe.model_fn(**inputs)

    return forward


def forward_operations(width: Width, tokens: int) -> float:
    """Floating-point operations, in 10**12, of one forward: matrix products and attention, two per multiply-add."""
    products = (6 * width.dim**2 + 2 * width.dim * width.ffn) * tokens + 2 * width.dim**2 * TEXT_TOKENS
    return 2 * width.layers * (products + 2 * width.dim * tokens * (tokens + TEXT_TOKENS)) / 1e12
