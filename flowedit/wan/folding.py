"""The autoencoder's 3-D convolutions on a processor, as 2-D ones over stacked frames: equal, and several times as fast.

The vendor encodes and decodes in short chunks of frames, for which a processor's 3-D convolution spends most of its
time rearranging. Stacking each frame with its two predecessors in the channels makes the same sum a 2-D convolution,
which runs near the speed of a plain matrix product, chunk by chunk, so that memory stays low too.

Where a chunk has an even number of frames, two of them share their sums over time: of the four frames that a pair
looks at, four combinations are convolved, of `c` channels each, instead of two stacks of `3c` (Winograd's F(2, 3),
"Arithmetic Complexity of Computations", 1980). That is a third less work, and rounds no worse.
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
        conv.forward = partial(_folded, conv, _pair_kernels(conv.weight.data))


def unfold_convolutions(vae: nn.Module) -> None:
    """Give an autoencoder the vendor's own convolutions back; nothing where it has them."""
    for conv in _cubes(vae):
        vars(conv).pop("forward", None)


def _cubes(vae: nn.Module) -> "list[vendor.CausalConv3d]":
    found: list[Any] = [module for module in vae.modules() if isinstance(module, vendor.CausalConv3d)]
    return [conv for conv in found if conv.kernel_size == _CUBE and conv.stride == (1, 1, 1)]


def _pair_kernels(weight: Tensor) -> list[Tensor]:
    """The four kernels of a pair of frames, `(o, c, 3, 3)` each, in the order that a convolution reads them."""
    first, second, third = weight.unbind(2)
    kernels = [first, (first + second + third) / 2, (first - second + third) / 2, third]
    return [kernel.contiguous(memory_format=torch.channels_last) for kernel in kernels]


def _folded(conv: "vendor.CausalConv3d", pair: list[Tensor], x: Tensor, cache_x: Tensor | None = None) -> Tensor:
    """The vendor's causal convolution of `(b, c, t, h, w)`; `cache_x` are the frames before, zero where there are none.

    Returns:
        `(b, o, t, h, w)`.
    """
    t = x.shape[2]
    if cache_x is not None:
        x = torch.cat([cache_x.to(x.device), x], dim=2)
    missing = t + 2 - x.shape[2]
    if missing > 0:
        x = F.pad(x, (0, 0, 0, 0, missing, 0))
    frames = x.permute(0, 2, 3, 4, 1)
    made = _by_pairs(frames, pair, conv.bias) if t % 2 == 0 else _stacked(frames, conv)
    return made.permute(0, 4, 1, 2, 3)


def _stacked(frames: Tensor, conv: "vendor.CausalConv3d") -> Tensor:
    """Each frame with its two predecessors in the channels: `(b, 2 + t, h, w, c)` to `(b, t, h, w, o)`."""
    t = frames.shape[1] - 2
    stacked = torch.cat([frames[:, k : k + t] for k in range(3)], dim=-1)
    weight = conv.weight.transpose(1, 2).flatten(1, 2)
    return _flat(stacked, weight, conv.bias).unflatten(0, (-1, t))


def _by_pairs(frames: Tensor, kernels: list[Tensor], bias: Tensor | None) -> Tensor:
    """Two frames at a time, `t` even: `(b, 2 + t, h, w, c)` to `(b, t, h, w, o)`."""
    frames = frames.contiguous()
    first, second, third, fourth = frames[:, :-2:2], frames[:, 1:-1:2], frames[:, 2::2], frames[:, 3::2]
    # The bias rides on the one sum that both frames of a pair take as it is.
    one = _flat(first - third, kernels[0], None)
    two = _flat(second + third, kernels[1], bias)
    three = _flat(third - second, kernels[2], None)
    four = _flat(second - fourth, kernels[3], None)
    made = torch.stack([one.add_(two).add_(three), two.sub_(three).sub_(four)], dim=1)
    return made.unflatten(0, (frames.shape[0], -1)).flatten(1, 2)


def _flat(frames: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution of every frame: `(b, t, h, w, c)` to `(b t, h, w, o)`."""
    return F.conv2d(frames.flatten(0, 1).permute(0, 3, 1, 2), weight, bias, padding=1).permute(0, 2, 3, 1)
