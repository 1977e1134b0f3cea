"""One Wan transformer block with real float32 rotations, for inference and training, on the vendor's parameters.

diffsynth rotates queries and keys with complex float64 numbers, which a GPU does slowly and compilers not at all. The
same rotation in real float32 agrees to 1e-6.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.wan import vendor

IMAGE_TOKENS = 257
"""Tokens of a CLIP image, which come before the text where the block has a place for them."""
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys, values, each `(b, heads, tokens, d)` -> `(b, heads, tokens, d)`."""
Expand = Callable[[Any, Tensor], Tensor]
"""The first product of a feed-forward, `(..., dim)` -> `(..., ffn)`, and GELU."""
Rotation = tuple[Tensor, Tensor]
"""Cosine and signed sine of the rotary table, float32, `(tokens, 1, head_dim)` each; see `real_tables`."""


class Kernels(NamedTuple):
    """What a block is computed by: attention of the tokens to one another, to the context, and the feed-forward."""

    tokens: Attend = F.scaled_dot_product_attention
    context: Attend = F.scaled_dot_product_attention
    expand: Expand = lambda ffn, x: ffn[:2](x)


PLAIN = Kernels()
"""PyTorch's own choice, on any device."""


def real_tables(table: Tensor) -> Rotation:
    """Factors of each channel and of its neighbour, float32, `(..., d)`, of a complex rotary table, `(..., d / 2)`."""
    cosine, sine = table.real.float(), table.imag.float()
    return cosine.repeat_interleave(2, dim=-1), torch.stack([-sine, sine], dim=-1).flatten(-2)


def block_forward(
    block: "vendor.DiTBlock",
    x: Tensor,
    context: Tensor,
    modulation: Tensor,
    rotation: Rotation,
    kernels: Kernels = PLAIN,
) -> Tensor:
    """Apply one transformer block to `x`, `(b, tokens, dim)`.

    Args:
        block: diffsynth's `DiTBlock`.
        x: the tokens.
        context: `(b, text, dim)`, the tokens of a CLIP image first where the block takes them.
        modulation: `(b, 6, dim)` from the timestep, or `(b, tokens, 6, dim)` where each token has its own time.
        rotation: of the tokens.
        kernels: what attention and the feed-forward are computed by.
    """
    rows = (block.modulation.to(modulation.dtype) + modulation).chunk(6, dim=-2)
    # One row for all tokens broadcasts as it is; rows of each token lose the axis of the six.
    shift1, scale1, gate1, shift2, scale2, gate2 = (row.squeeze(-2) if row.dim() == 4 else row for row in rows)
    x = x + gate1 * _self_attention(block.self_attn, block.norm1(x) * (1 + scale1) + shift1, rotation, kernels.tokens)
    x = x + _cross_attention(block.cross_attn, block.norm3(x), context, kernels.context)
    return x + gate2 * block.ffn[2](kernels.expand(block.ffn, block.norm2(x) * (1 + scale2) + shift2))


def _self_attention(attention: "vendor.SelfAttention", x: Tensor, rotation: Rotation, attend: Attend) -> Tensor:
    """Self-attention with rotated queries and keys."""
    heads = (attention.num_heads, attention.head_dim)
    q = _rotate(_rms(attention.norm_q, attention.q(x)).unflatten(2, heads), rotation).to(x.dtype).transpose(1, 2)
    k = _rotate(_rms(attention.norm_k, attention.k(x)).unflatten(2, heads), rotation).to(x.dtype).transpose(1, 2)
    v = attention.v(x).unflatten(2, heads).transpose(1, 2)
    return attention.o(attend(q, k, v).transpose(1, 2).flatten(2))


def _cross_attention(attention: "vendor.CrossAttention", x: Tensor, context: Tensor, attend: Attend) -> Tensor:
    """Attention to the text, and beside it to the image where the block takes one."""
    heads = (attention.num_heads, attention.head_dim)
    image = IMAGE_TOKENS if attention.has_image_input else 0
    q = _rms(attention.norm_q, attention.q(x)).to(x.dtype).unflatten(2, heads).transpose(1, 2)
    words = context[:, image:]
    k = _rms(attention.norm_k, attention.k(words)).to(x.dtype).unflatten(2, heads).transpose(1, 2)
    out = attend(q, k, attention.v(words).unflatten(2, heads).transpose(1, 2))
    if image:
        pixels = context[:, :image]
        k = _rms(attention.norm_k_img, attention.k_img(pixels)).to(x.dtype).unflatten(2, heads).transpose(1, 2)
        out = out + attend(q, k, attention.v_img(pixels).unflatten(2, heads).transpose(1, 2))
    return attention.o(out.transpose(1, 2).flatten(2))


def _rms(norm: "vendor.RMSNorm", x: Tensor) -> Tensor:
    """RMS norm over all heads together, in float32."""
    wide = x.float()
    return wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + norm.eps) * norm.weight.float()


def _rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate pairs of neighbouring channels of `(b, tokens, heads, d)`, float32."""
    own, neighbour = rotation
    return x * own + x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2) * neighbour
