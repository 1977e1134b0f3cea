"""Put the small Wan with its shipped weights into diffsynth's own pipeline."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flowedit.errors import ModelError
from flowedit.tiny.config import DIT_FILE, SHIPPED, VAE_FILE, WEIGHTS, TinySize
from flowedit.tiny.model import build_dit, build_text_encoder, build_vae, set_latent_statistics
from flowedit.tiny.skeleton import Skeleton
from flowedit.tiny.text import TinyTextEncoder, WordTokenizer
from flowedit.wan import vendor
from flowedit.wan.lora import Layers, linear_layers
from flowedit.wan.vae import use_conv2d


def build_pipeline(
    device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, weights: Path = WEIGHTS
) -> "vendor.WanVideoPipeline":
    """Load the shipped small Wan as a diffsynth pipeline.

    Args:
        device: where the model runs.
        dtype: the type it computes in.
        weights: folder that holds the two weight files.

    Returns:
        A ready ``WanVideoPipeline``.

    Raises:
        ModelError: a weight file is missing or does not fit the architecture.
    """
    vae = load_vae(weights / VAE_FILE)
    dit, text = load_transformer(weights / DIT_FILE)
    pipe = assemble(dit, vae, text, device=device, dtype=dtype)
    if torch.device(device).type == "cpu":
        use_conv2d(vae)
    return pipe


def load_transformer(
    path: Path = WEIGHTS / DIT_FILE, size: TinySize = SHIPPED
) -> tuple["vendor.WanModel", TinyTextEncoder]:
    """Load the transformer and its text encoder alone, in float32 on the CPU.

    Args:
        path: their weight file.
        size: the size they were trained in.

    Returns:
        Both, ready to run.

    Raises:
        ModelError: the file is missing or does not fit.
    """
    with Skeleton():
        dit, text = build_dit(size), build_text_encoder(size)
    state = _read(path)
    _fill(dit, _part(state, "dit."), path)
    _fill(text, _part(state, "text."), path)
    return dit, text


def load_vae(path: Path = WEIGHTS / VAE_FILE, size: TinySize = SHIPPED) -> "vendor.WanVideoVAE":
    """Load the autoencoder alone, in float32 on the CPU.

    Args:
        path: its weight file.
        size: the size it was trained in.

    Returns:
        The autoencoder with its latent statistics set.

    Raises:
        ModelError: the file is missing or does not fit.
    """
    state = _read(path)
    mean, std = state.pop("latent_mean"), state.pop("latent_std")
    with Skeleton():
        vae = build_vae(size)
    _fill(vae.model, state, path)
    set_latent_statistics(vae, mean, std)
    return vae


def transformer_layers() -> Layers:
    """Name -> (out, in) of the linear layers of the shipped transformer; its weights are not read."""
    with Skeleton():
        return linear_layers(build_dit(SHIPPED))


def assemble(
    dit: "vendor.WanModel",
    vae: "vendor.WanVideoVAE",
    text: TinyTextEncoder,
    *,
    device: str | torch.device,
    dtype: torch.dtype,
) -> "vendor.WanVideoPipeline":
    """Set the parts on a diffsynth pipeline, as its own loader does.

    Args:
        dit: the transformer.
        vae: the autoencoder.
        text: the text encoder.
        device: where the pipeline runs.
        dtype: the type it computes in.

    Returns:
        The pipeline, in evaluation mode, no parameter asking for a gradient.
    """
    pipe: Any = vendor.WanVideoPipeline(device=str(device), torch_dtype=dtype)
    parts = {"dit": dit, "vae": vae, "text_encoder": text}
    for name, module in parts.items():
        setattr(pipe, name, module.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False))
    pipe.tokenizer = WordTokenizer()
    pipe.height_division_factor = pipe.width_division_factor = vae.upsampling_factor * 2
    pipe.vram_management_enabled = False
    return pipe


def _read(path: Path) -> dict[str, Tensor]:
    """Read one safetensors file into float32."""
    if not path.is_file():
        raise ModelError(
            f"No weights at {path.name}: the small model needs both of its files; reinstall flowedit or train them."
        )
    return {name: value.float() for name, value in load_file(path).items()}


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the entries under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _fill(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Give a module built without memory its weights."""
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ModelError(f"The weights in {path.name} do not fit this version of the small model: {error}") from error
