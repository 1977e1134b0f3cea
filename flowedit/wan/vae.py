"""The VAE as it is computed fastest, equal to the vendor's to rounding; each change can be undone.

On a GPU memory is laid out for its convolutions and norms run in one pass; on a processor its 3-D convolutions run as
2-D ones over stacked frames.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowedit.wan import vendor

_CUBE = (3, 3, 3)


def use_fast_vae(vae: Any, *, backend: str = "inductor") -> None:  # noqa: ANN401 - the vendor's VAE
    """Run the vendor's VAE as a GPU does it fastest from now on, its weights on one device; on a CPU it gains nothing.

    Memory is laid out channels last. Each norm is computed with the activation after it in one pass over memory, where
    the vendor's take eleven. Enlarging is done in the pictures' own type, where the vendor's goes through float32.
    """
    use_channels_last(vae)
    whole = torch.compile(_norm_and_activation, dynamic=False, backend=backend)
    for module in vae.modules():
        # An attribute of the instance hides the class's method: module tree, names and weights stay.
        if isinstance(module, nn.Sequential):
            for norm, activation in pairwise(module):
                if isinstance(norm, vendor.RMS_norm) and norm.channel_first and isinstance(activation, nn.SiLU):
                    vars(norm)["forward"] = partial(_whole_norm, whole, norm)
                    vars(activation)["forward"] = _unchanged
        elif isinstance(module, nn.Upsample):
            vars(module)["forward"] = partial(_enlarge, module)


def use_plain_vae(vae: Any) -> None:  # noqa: ANN401 - the vendor's VAE
    """Give a VAE the vendor's own layers back; nothing where it has them."""
    for module in vae.modules():
        given = vars(module).get("forward")
        if given is _unchanged or getattr(given, "func", None) in (_whole_norm, _enlarge):
            del vars(module)["forward"]
        order = _channels_last(module)
        if order is not None and module.weight.is_contiguous(memory_format=order):
            module.weight.data = module.weight.data.contiguous()


def use_channels_last(vae: Any) -> None:  # noqa: ANN401 - the vendor's VAE
    """Lay a VAE's convolution weights out channels last, which its activations then follow; values stay as they are."""
    for module in vae.modules():
        if (order := _channels_last(module)) is not None:
            module.weight.data = module.weight.data.contiguous(memory_format=order)


def _channels_last(module: Any) -> torch.memory_format | None:  # noqa: ANN401 - any module
    """The order in memory of a convolution's weights that is called channels last; None of other modules."""
    if isinstance(module, nn.Conv3d):
        return torch.channels_last_3d
    return torch.channels_last if isinstance(module, nn.Conv2d) else None


def _whole_norm(whole: Callable[..., Tensor], norm: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - the vendor's module
    """The vendor's norm and SiLU of ``(b, channels, frames, height, width)``."""
    last = x.movedim(1, -1)
    rows = last.reshape(-1, x.shape[1]).contiguous()
    # Lengths differ from call to call; code for any length is compiled once for each number of channels.
    torch._dynamo.mark_dynamic(rows, 0)
    bias = norm.bias if isinstance(norm.bias, Tensor) else None
    out = whole(rows, norm.gamma.flatten(), None if bias is None else bias.flatten(), norm.scale)
    return out.view(last.shape).movedim(-1, 1)


def _norm_and_activation(rows: Tensor, gamma: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """SiLU of rows brought to one length and scaled, in float32."""
    made = F.normalize(rows.float(), dim=-1) * scale * gamma.float()
    return F.silu(made if bias is None else made + bias.float()).to(rows.dtype)


def _enlarge(module: nn.Upsample, x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=module.scale_factor, mode=module.mode)


def _unchanged(x: Tensor) -> Tensor:
    return x


def use_conv2d(vae: nn.Module) -> None:
    """Compute the 3x3x3 convolutions of a VAE on the CPU as 2-D ones from now on; weights and names stay as they are.

    For the vendor's short chunks a processor's 3-D convolution spends most of its time rearranging. Each frame stacked
    with its two predecessors in the channels makes the same sum a 2-D one, near the speed of a plain matrix product.
    Where a chunk has an even number of frames, two share their sums over time (Winograd's F(2, 3), "Arithmetic
    Complexity of Computations", 1980): a third less work, and rounds no worse.
    """
    for conv in _cubes(vae):
        # The order in memory in which the 2-D convolution reads its weights; their shape and values are untouched.
        order = conv.weight.data.permute(0, 3, 4, 2, 1).contiguous()
        conv.weight.data = order.permute(0, 4, 3, 1, 2)
        # An attribute of the instance hides the class's method.
        conv.forward = partial(_as_conv2d, conv, _pair_kernels(conv.weight.data))


def _cubes(vae: nn.Module) -> "list[vendor.CausalConv3d]":
    found: list[Any] = [module for module in vae.modules() if isinstance(module, vendor.CausalConv3d)]
    return [conv for conv in found if conv.kernel_size == _CUBE and conv.stride == (1, 1, 1)]


def _pair_kernels(weight: Tensor) -> list[Tensor]:
    """The four kernels of a pair of frames, `(o, c, 3, 3)` each, in the order that a convolution reads them."""
    first, second, third = weight.unbind(2)
    kernels = [first, (first + second + third) / 2, (first - second + third) / 2, third]
    return [kernel.contiguous(memory_format=torch.channels_last) for kernel in kernels]


def _as_conv2d(conv: "vendor.CausalConv3d", pair: list[Tensor], x: Tensor, cache_x: Tensor | None = None) -> Tensor:
    """The vendor's causal convolution, `(b, c, t, h, w)` to `(b, o, t, h, w)`; without `cache_x`, zeros came before."""
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
