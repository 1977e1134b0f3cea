"""The transformer's forward pass for training: the vendor's arithmetic, with real float32 rotations.

The block is `flowedit.wan.blocks`; the parameters are the vendor's own modules, so that trained weights load into a
plain ``WanModel``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flowedit.tiny.text import TinyTextEncoder
from flowedit.wan import vendor
from flowedit.wan.blocks import block_forward, real_tables

__all__ = ["block_forward", "encode_prompts", "rotary_tables", "velocity"]

Tables = tuple[Tensor, Tensor]


def rotary_tables(dit: "vendor.WanModel", frames: Tensor, height: int, width: int) -> Tables:
    """Build cosine and sine of the rotary embedding.

    Args:
        dit: the transformer.
        frames: temporal positions of the latents, one each; repeated positions are allowed.
        height: patches.
        width: patches.

    Returns:
        Cosine and sine, each ``(tokens, 1, head_dim / 2)``.
    """
    f = len(frames)
    time, down, across = (table.to(frames.device) for table in dit.freqs)
    grid = torch.cat(
        [
            time[frames].view(f, 1, 1, -1).expand(f, height, width, -1),
            down[:height].view(1, height, 1, -1).expand(f, height, width, -1),
            across[:width].view(1, 1, width, -1).expand(f, height, width, -1),
        ],
        dim=-1,
    ).reshape(f * height * width, 1, -1)
    return real_tables(grid)


def velocity(
    dit: "vendor.WanModel",
    latents: Tensor,
    sigma: Tensor,
    conditions: tuple[Tensor, Tensor],
    *,
    tables: Tables | None = None,
    run_block: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Predict the velocity of noisy latents.

    Args:
        dit: the transformer.
        latents: ``(b, z, f, h, w)``.
        sigma: ``(b,)`` noise levels in [0, 1].
        conditions: ``(b, tokens, text_dim)`` output of the text encoder, and ``(b, 4 + z, f, h, w)`` mask and
            keyframe latents.
        tables: of :func:`rotary_tables`, for temporal positions other than counted from 0.
        run_block: a compiled :func:`block_forward`, or nothing.

    Returns:
        ``(b, z, f, h, w)``.
    """
    t = dit.time_embedding(vendor.sinusoidal_embedding_1d(dit.freq_dim, sigma * 1000))
    modulation = dit.time_projection(t).unflatten(1, (6, dit.dim))
    context = dit.text_embedding(conditions[0])
    x = dit.patchify(torch.cat([latents, conditions[1]], dim=1))
    f, h, w = x.shape[2:]
    rotation = tables or rotary_tables(dit, torch.arange(f, device=x.device), h, w)
    x = x.flatten(2).transpose(1, 2)
    run = run_block or block_forward
    blocks: Any = dit.blocks
    for block in blocks:
        x = run(block, x, context, modulation, rotation)
    grid: Any = (f, h, w)
    return dit.unpatchify(dit.head(x, t), grid)


def encode_prompts(encoder: TinyTextEncoder, ids: Tensor, mask: Tensor) -> Tensor:
    """Encode prompts as diffsynth's prompt unit does: outputs on padding are set to zero.

    Args:
        encoder: the text encoder.
        ids: ``(batch, tokens)``.
        mask: ``(batch, tokens)``, 1 on real tokens.

    Returns:
        ``(batch, tokens, dim)``.
    """
    return encoder(ids, mask) * mask.unsqueeze(-1).to(encoder.norm.weight.dtype)
