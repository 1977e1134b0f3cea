"""The transformer's forward pass for training: the vendor's arithmetic, with real float32 rotations.

diffsynth rotates queries and keys with complex float64 numbers, which a GPU does slowly and compilers not at all. The
same rotation in real float32 agrees to 1e-6; the parameters are the vendor's own modules, so that trained weights load
into a plain ``WanModel``.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.wan import vendor

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
    return grid.real.float(), grid.imag.float()


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
    cosine, sine = tables or rotary_tables(dit, torch.arange(f, device=x.device), h, w)
    x = x.flatten(2).transpose(1, 2)
    run = run_block or block_forward
    blocks: Any = dit.blocks
    for block in blocks:
        x = run(block, x, context, modulation, cosine, sine)
    grid: Any = (f, h, w)
    return dit.unpatchify(dit.head(x, t), grid)


def block_forward(
    block: "vendor.DiTBlock", x: Tensor, context: Tensor, modulation: Tensor, cosine: Tensor, sine: Tensor
) -> Tensor:
    """Apply one transformer block.

    Args:
        block: diffsynth's ``DiTBlock``.
        x: ``(b, tokens, dim)``.
        context: ``(b, text, dim)``.
        modulation: ``(b, 6, dim)`` from the timestep.
        cosine: see :func:`rotary_tables`.
        sine: see :func:`rotary_tables`.

    Returns:
        ``(b, tokens, dim)``.
    """
    shift1, scale1, gate1, shift2, scale2, gate2 = (block.modulation + modulation).chunk(6, dim=1)
    x = x + gate1 * _self_attention(block.self_attn, block.norm1(x) * (1 + scale1) + shift1, cosine, sine)
    x = x + _cross_attention(block.cross_attn, block.norm3(x), context)
    return x + gate2 * block.ffn(block.norm2(x) * (1 + scale2) + shift2)


def _self_attention(attention: "vendor.SelfAttention", x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Self-attention with rotated queries and keys."""
    heads = (attention.num_heads, attention.head_dim)
    q = _rotate(_rms(attention.norm_q, attention.q(x)).unflatten(2, heads), cosine, sine)
    k = _rotate(_rms(attention.norm_k, attention.k(x)).unflatten(2, heads), cosine, sine)
    return attention.o(_attend(q, k, attention.v(x).unflatten(2, heads)))


def _cross_attention(attention: "vendor.CrossAttention", x: Tensor, context: Tensor) -> Tensor:
    """Attention to the text."""
    heads = (attention.num_heads, attention.head_dim)
    q = _rms(attention.norm_q, attention.q(x)).unflatten(2, heads)
    k = _rms(attention.norm_k, attention.k(context)).unflatten(2, heads)
    return attention.o(_attend(q, k, attention.v(context).unflatten(2, heads)))


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with ``(b, tokens, heads, d)``."""
    out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2).flatten(2)


def _rms(norm: "vendor.RMSNorm", x: Tensor) -> Tensor:
    """RMS norm over all heads together, in float32."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + norm.eps)).to(x.dtype) * norm.weight.to(x.dtype)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs of neighbouring channels."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2).to(x.dtype)
