"""A checkpoint at its full size with random weights: time and memory do not depend on what the weights are."""

from typing import Any

import torch
from torch import Tensor

from flowedit.model import ClipShape
from flowedit.wan import vendor
from flowedit.wan.adapter import WanVideo
from flowedit.wan.blocks import IMAGE_TOKENS
from flowedit.wan.checkpoints import Checkpoint
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


def synthetic_pipeline(
    checkpoint: Checkpoint, *, device: str, dtype: torch.dtype, vae: bool = True, small: bool = False
) -> "vendor.WanVideoPipeline":
    """Build transformer and VAE of a checkpoint with random weights, each layer of unit gain.

    Args:
        checkpoint: the registry entry; its VACE layers and image encoder are left out.
        device: where the weights are made: nothing of the transformer is ever on the host.
        dtype: their type.
        vae: whether the VAE is wanted.
        small: two narrow blocks, to rehearse on a CPU.

    Returns:
        The vendor's pipeline without text encoder and image encoder.
    """
    pipe: Any = vendor.WanVideoPipeline(device=device, torch_dtype=dtype)
    settings: dict[str, Any] = transformer_settings(checkpoint) | (_SMALL if small else {})
    with torch.device("meta"):
        dit: Any = vendor.WanModel(**settings)
    pipe.dit = randomise(dit.to(dtype).to_empty(device=device))
    # The rotary tables are no parameters, so that they were built without memory like everything else.
    pipe.dit.freqs = vendor.precompute_freqs_cis_3d(settings["dim"] // settings["num_heads"])
    if vae:
        pipe.vae = synthetic_vae(checkpoint, device=device, dtype=dtype, small=small)
    pipe.height_division_factor = pipe.width_division_factor = checkpoint.size_multiple
    pipe.vram_management_enabled = False
    return pipe


def synthetic_vae(
    checkpoint: Checkpoint, *, device: str, dtype: torch.dtype, small: bool = False
) -> "vendor.WanVideoVAE":
    """Build a checkpoint's VAE with random weights; `small` gives it few channels."""
    wide = checkpoint.latent_channels == 16
    vae: Any = vendor.WanVideoVAE() if wide else vendor.WanVideoVAE38()
    if small:
        narrow = {"dim": 8, "z_dim": checkpoint.latent_channels, **({} if wide else {"dec_dim": 8})}
        vae.model = type(vae.model)(**narrow)
    return randomise(vae.to(dtype=dtype, device=device))


def forward_inputs(
    pipe: Any,  # noqa: ANN401 - the vendor's pipeline
    checkpoint: Checkpoint,
    shape: ClipShape,
    keyframes: int = 0,
) -> dict[str, Any]:
    """Random arguments of one call of the vendor's model function.

    Args:
        pipe: from `synthetic_pipeline`.
        checkpoint: the registry entry.
        shape: the clip.
        keyframes: latent frames beside the clip's own, as joint keyframes are.
    """
    generator = torch.Generator().manual_seed(0)
    stride = checkpoint.size_multiple // 2
    frames = (shape.num_frames + 3) // 4 + keyframes
    grid = (frames, shape.height // stride, shape.width // stride)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator).to(device=pipe.device, dtype=pipe.torch_dtype)

    inputs: dict[str, Any] = {
        "dit": pipe.dit,
        "latents": draw(1, checkpoint.latent_channels, *grid),
        "timestep": torch.tensor([700.0]).to(device=pipe.device, dtype=pipe.torch_dtype),
        "context": draw(1, TEXT_TOKENS, TEXT_WIDTH),
    }
    if checkpoint.image_route == "i2v":
        inputs["y"] = draw(1, pipe.dit.in_dim - checkpoint.latent_channels, *grid)
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
