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

Tables = tuple[Tensor, Tensor]


def rotary_tables(dit: "vendor.WanModel", frames: Tensor, height: int, width: int) -> Tables:
    """Cosine and sine of the rotary embedding, each ``(..., tokens, 1, head_dim / 2)``.

    Args:
        dit: the transformer.
        frames: ``(..., f)`` temporal positions of the latents; repeated positions are allowed.
        height: patches.
        width: patches.
    """
    time, down, across = (table.to(frames.device) for table in dit.freqs)
    shape = (*frames.shape, height, width, -1)
    parts = time[frames][..., None, None, :], down[:height, None], across[:width]
    return real_tables(torch.cat([part.expand(shape) for part in parts], dim=-1).flatten(-4, -2).unsqueeze(-2))


def joint_tables(dit: "vendor.WanModel", slots: Tensor, size: torch.Size) -> Tables:
    """Tables of clips with keyframe tokens after them, at the shared positions of their slots.

    Args:
        dit: the transformer.
        slots: ``(b, n)``; n may be 0.
        size: slots, rows and columns of the clip's latents.
    """
    f, h, w = size
    clip = torch.arange(f, device=slots.device).expand(len(slots), f)
    return rotary_tables(dit, torch.cat([clip, slots], dim=1), h // 2, w // 2)


def velocity(
    dit: "vendor.WanModel",
    latents: Tensor,
    sigma: Tensor,
    conditions: tuple[Tensor, Tensor],
    *,
    tables: Tables | None = None,
    run_block: Callable[..., Tensor] = block_forward,
) -> Tensor:
    """The velocity of noisy latents, ``(b, z, f, h, w)``.

    Args:
        dit: the transformer.
        latents: ``(b, z, f, h, w)``.
        sigma: ``(b,)`` noise levels in [0, 1].
        conditions: ``(b, tokens, text_dim)`` output of the text encoder, and ``(b, 4 + z, f, h, w)`` mask and
            keyframe latents.
        tables: of :func:`rotary_tables`, for temporal positions other than counted from 0.
        run_block: a compiled :func:`block_forward`.
    """
    t = dit.time_embedding(vendor.sinusoidal_embedding_1d(dit.freq_dim, sigma * 1000))
    modulation = dit.time_projection(t).unflatten(1, (6, dit.dim))
    context = dit.text_embedding(conditions[0])
    x = dit.patchify(torch.cat([latents, conditions[1]], dim=1))
    f, h, w = x.shape[2:]
    rotation = tables or rotary_tables(dit, torch.arange(f, device=x.device), h, w)
    x = x.flatten(2).transpose(1, 2)
    blocks: Any = dit.blocks
    for block in blocks:
        x = run_block(block, x, context, modulation, rotation)
    grid: Any = (f, h, w)
    return dit.unpatchify(dit.head(x, t), grid)


def encode_prompts(encoder: TinyTextEncoder, ids: Tensor) -> Tensor:
    """Encode prompts ``(b, tokens)`` as diffsynth's prompt unit does, zero on padding: ``(b, tokens, dim)``."""
    mask = (ids > 0).long()
    return encoder(ids, mask) * mask.unsqueeze(-1).to(encoder.norm.weight.dtype)
