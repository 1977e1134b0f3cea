"""One Wan transformer block with real float32 rotations, for inference and training, on the vendor's parameters.

diffsynth rotates queries and keys with complex float64 numbers, which a GPU does slowly and compilers not at all. The
same rotation in real float32 agrees to 1e-6.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.wan import vendor

IMAGE_TOKENS = 257
"""Tokens of a CLIP image, which come before the text where the block has a place for them."""
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys, values, each `(b, heads, tokens, d)` -> `(b, heads, tokens, d)`."""


class Keys(NamedTuple):
    """Rotated keys, and values, of one block's self-attention: `(b, heads, tokens, d)` each."""

    k: Tensor
    v: Tensor


class View(NamedTuple):
    """Where tokens stand, and what they see beside one another.

    Attributes:
        cosine: of the rotary table, ``(tokens, 1, head_dim / 2)``.
        sine: the same.
        more: keys and values of other tokens; None for none.
        spread: how attention reaches tokens that other processes carry; None where all are here.
    """

    cosine: Tensor
    sine: Tensor
    more: Keys | None = None
    spread: "Callable[[Attend, Tensor, Keys], Tensor] | None" = None


def real_tables(table: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, float32, of a complex rotary table in any shape."""
    return table.real.float(), table.imag.float()


def block_forward(
    block: "vendor.DiTBlock", x: Tensor, context: Tensor, modulation: Tensor, cosine: Tensor, sine: Tensor
) -> Tensor:
    """Apply one transformer block.

    Args:
        block: diffsynth's ``DiTBlock``.
        x: ``(b, tokens, dim)``.
        context: ``(b, text, dim)``, the tokens of a CLIP image first where the block takes them.
        modulation: ``(b, 6, dim)`` from the timestep, or ``(b, tokens, 6, dim)`` where each token has its own time.
        cosine: ``(tokens, 1, head_dim / 2)``.
        sine: the same.

    Returns:
        ``(b, tokens, dim)``.
    """
    return keyed_block(block, x, context, modulation, View(cosine, sine))[0]


def keyed_block(
    block: "vendor.DiTBlock",
    x: Tensor,
    context: Tensor,
    modulation: Tensor,
    view: View,
    attend: Attend = F.scaled_dot_product_attention,
) -> tuple[Tensor, Keys]:
    """Apply one block whose queries also see keys of other tokens.

    Args:
        block: diffsynth's ``DiTBlock``.
        x: ``(b, tokens, dim)``.
        context: as in :func:`block_forward`.
        modulation: as in :func:`block_forward`.
        view: where the tokens stand, and what they see beside one another.
        attend: the attention to use.

    Returns:
        The tokens after the block, and their own keys and values.
    """
    rows = (block.modulation.to(modulation.dtype) + modulation).chunk(6, dim=-2)
    # One row for all tokens broadcasts as it is; rows of each token lose the axis of the six.
    shift1, scale1, gate1, shift2, scale2, gate2 = (row.squeeze(-2) if row.dim() == 4 else row for row in rows)
    attended, keys = _self_attention(block.self_attn, block.norm1(x) * (1 + scale1) + shift1, view, attend)
    x = x + gate1 * attended
    x = x + _cross_attention(block.cross_attn, block.norm3(x), context, attend)
    return x + gate2 * block.ffn(block.norm2(x) * (1 + scale2) + shift2), keys


def _self_attention(attention: "vendor.SelfAttention", x: Tensor, view: View, attend: Attend) -> tuple[Tensor, Keys]:
    """Self-attention with rotated queries and keys."""
    heads = (attention.num_heads, attention.head_dim)
    q = _rotate(_rms(attention.norm_q, attention.q(x)).unflatten(2, heads), view.cosine, view.sine).transpose(1, 2)
    k = _rotate(_rms(attention.norm_k, attention.k(x)).unflatten(2, heads), view.cosine, view.sine).transpose(1, 2)
    own = Keys(k, attention.v(x).unflatten(2, heads).transpose(1, 2))
    seen = own if view.more is None else _both(own, view.more)
    out = attend(q, seen.k, seen.v) if view.spread is None else view.spread(attend, q, seen)
    return attention.o(out.transpose(1, 2).flatten(2)), own


def _both(own: Keys, more: Keys) -> Keys:
    """Keys and values of two sets of tokens, one after the other."""
    return Keys(torch.cat([own.k, more.k], dim=2), torch.cat([own.v, more.v], dim=2))


def _cross_attention(attention: "vendor.CrossAttention", x: Tensor, context: Tensor, attend: Attend) -> Tensor:
    """Attention to the text, and beside it to the image where the block takes one."""
    heads = (attention.num_heads, attention.head_dim)
    image = IMAGE_TOKENS if attention.has_image_input else 0
    q = _rms(attention.norm_q, attention.q(x)).unflatten(2, heads).transpose(1, 2)
    words = context[:, image:]
    k = _rms(attention.norm_k, attention.k(words)).unflatten(2, heads).transpose(1, 2)
    out = attend(q, k, attention.v(words).unflatten(2, heads).transpose(1, 2))
    if image:
        pixels = context[:, :image]
        k = _rms(attention.norm_k_img, attention.k_img(pixels)).unflatten(2, heads).transpose(1, 2)
        out = out + attend(q, k, attention.v_img(pixels).unflatten(2, heads).transpose(1, 2))
    return attention.o(out.transpose(1, 2).flatten(2))


def _rms(norm: "vendor.RMSNorm", x: Tensor) -> Tensor:
    """RMS norm over all heads together, in float32."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + norm.eps)).to(x.dtype) * norm.weight.to(x.dtype)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs of neighbouring channels of ``(b, tokens, heads, d)``."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2).to(x.dtype)
