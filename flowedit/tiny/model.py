"""Build the parts of the small Wan from diffsynth's own classes."""

import torch
from torch import Tensor

from flowedit.tiny.config import SPATIAL, TinySize
from flowedit.tiny.skeleton import Skeleton
from flowedit.tiny.text import TinyTextEncoder
from flowedit.wan import vendor


def build_vae(size: TinySize) -> "vendor.WanVideoVAE":
    """Build diffsynth's video autoencoder in a small size, randomly initialised.

    Args:
        size: the sizes.

    Returns:
        A ``WanVideoVAE`` whose latents are not yet normalised (mean 0, deviation 1).
    """
    # The class always builds the full 127 M-parameter network first; without weights that is free.
    with Skeleton():
        vae = vendor.WanVideoVAE(z_dim=16)
    s = size.vae
    vae.model = vendor.VideoVAE_(
        dim=s.dim, z_dim=s.z_dim, dim_mult=list(s.dim_mult), num_res_blocks=s.num_res_blocks, attn_scales=[]
    )
    vae.z_dim, vae.upsampling_factor = s.z_dim, SPATIAL
    set_latent_statistics(vae, torch.zeros(s.z_dim, device="cpu"), torch.ones(s.z_dim, device="cpu"))
    return vae.eval().requires_grad_(requires_grad=False)


def set_latent_statistics(vae: "vendor.WanVideoVAE", mean: Tensor, std: Tensor) -> None:
    """Tell the autoencoder the mean and deviation of its raw latents, so that it gives normalised ones.

    Args:
        vae: the autoencoder, changed in place.
        mean: ``(channels,)``.
        std: ``(channels,)``, positive.
    """
    vae.mean, vae.std = mean.float().cpu(), std.float().cpu()
    vae.scale = [vae.mean, 1.0 / vae.std]


def build_dit(size: TinySize) -> "vendor.WanModel":
    """Build diffsynth's Wan transformer in a small size, image-conditioned through the autoencoder (i2v).

    Args:
        size: the sizes; the input has the noisy latents, 4 mask channels and the keyframe latents.

    Returns:
        A randomly initialised ``WanModel``.
    """
    z, s = size.vae.z_dim, size.dit
    return vendor.WanModel(
        dim=s.dim,
        in_dim=z + 4 + z,
        ffn_dim=s.ffn_dim,
        out_dim=z,
        text_dim=s.text_dim,
        freq_dim=s.freq_dim,
        eps=1e-6,
        patch_size=(1, 2, 2),
        num_heads=s.num_heads,
        num_layers=s.num_layers,
        has_image_input=False,
        require_vae_embedding=True,
        require_clip_embedding=False,
    )


def build_text_encoder(size: TinySize) -> TinyTextEncoder:
    """Build the text encoder.

    Args:
        size: the sizes.

    Returns:
        A randomly initialised encoder.
    """
    return TinyTextEncoder(size.dit.text_dim, size.text)
