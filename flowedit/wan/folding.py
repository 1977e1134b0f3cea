"""The autoencoder's 3-D convolutions on a processor, as 2-D ones over stacked frames: equal, and several times as fast.

The vendor encodes and decodes in short chunks of frames, for which a processor's 3-D convolution spends most of its
time rearranging. Stacking each frame with its two predecessors in the channels makes the same sum a 2-D convolution,
which runs near the speed of a plain matrix product, chunk by chunk, so that memory stays low too.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowedit.wan import vendor

_CUBE = (3, 3, 3)


def fold_convolutions(vae: nn.Module) -> None:
    """Compute an autoencoder's 3x3x3 convolutions as 2-D ones from now on; weights and their names stay as they are.

    Results differ from the vendor's in rounding alone. `unfold_convolutions` gives the vendor's own arithmetic back.

    Args:
        vae: diffsynth's `WanVideoVAE`, or any part of it, on the CPU.
    """
    for conv in _cubes(vae):
        # The order in memory in which the 2-D convolution reads its weights; their shape and values are untouched.
        order = conv.weight.data.permute(0, 3, 4, 2, 1).contiguous()
        conv.weight.data = order.permute(0, 4, 3, 1, 2)
        # An attribute of the instance hides the class's method.
        conv.forward = partial(_folded, conv)


def unfold_convolutions(vae: nn.Module) -> None:
    """Give an autoencoder the vendor's own convolutions back; nothing where it has them."""
    for conv in _cubes(vae):
        vars(conv).pop("forward", None)


def _cubes(vae: nn.Module) -> "list[vendor.CausalConv3d]":
    found: list[Any] = [module for module in vae.modules() if isinstance(module, vendor.CausalConv3d)]
    return [conv for conv in found if conv.kernel_size == _CUBE and conv.stride == (1, 1, 1)]


def _folded(conv: "vendor.CausalConv3d", x: Tensor, cache_x: Tensor | None = None) -> Tensor:
    """The vendor's causal convolution of `(b, c, t, h, w)`; `cache_x` are the frames before, zero where there are none.

    Returns:
        `(b, o, t, h, w)`.
    """
    b, c, t, h, w = x.shape
    if cache_x is not None:
        x = torch.cat([cache_x.to(x.device), x], dim=2)
    missing = t + 2 - x.shape[2]
    if missing > 0:
        x = F.pad(x, (0, 0, 0, 0, missing, 0))
    frames = x.permute(0, 2, 3, 4, 1)
    stacked = torch.cat([frames[:, k : k + t] for k in range(3)], dim=-1)
    weight = conv.weight.transpose(1, 2).flatten(1, 2)
    made = F.conv2d(stacked.reshape(b * t, h, w, 3 * c).permute(0, 3, 1, 2), weight, conv.bias, padding=1)
    return made.permute(0, 2, 3, 1).reshape(b, t, h, w, -1).permute(0, 4, 1, 2, 3)
