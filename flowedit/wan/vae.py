"""The VAE as it is computed fastest, equal to the vendor's to rounding; each change can be undone.

Its 3-D convolutions run as 2-D ones: on a processor over stacked frames or pairs of them, on a GPU over pairs, with
everything between the convolutions in as few passes over memory as there can be.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowedit.wan import vendor
from flowedit.wan.fast import compiled

_CUBE = (3, 3, 3)


def use_fast_vae(vae: Any, *, backend: str = "inductor") -> None:  # noqa: ANN401 - the vendor's VAE
    """Run the vendor's VAE as a GPU does it fastest from now on, its weights on one device; on a CPU it gains nothing.

    Memory is laid out channels last. Pairs of frames share their sums over time as in `use_conv2d`, a frame is never
    laid out with zeros around it, and norm and activation, bias, and enlarging take one pass over memory each.
    """
    if isinstance(vae, vendor.WanVideoVAE):
        vars(vae).setdefault("encode", partial(encode_clips, vae))
    norm, add, double = (_Sized(each, backend, axes) for each, axes in ((_norm, (0,)), (_add, (0,)), (_double, (0, 1))))
    pairs = (_Sized(_spread, backend, (2,)), _Sized(_gather, backend, (1,)), partial(_causal, add))
    for module in vae.modules():
        if (order := _channels_last(module)) is not None:
            module.weight.data = module.weight.data.contiguous(memory_format=order)
        # An attribute of the instance hides the class's method: module tree, names and weights stay.
        if isinstance(module, nn.Upsample):
            vars(module)["forward"] = _Fast(_enlarged, double)
        elif isinstance(module, nn.Conv2d):
            vars(module)["forward"] = _Fast(_framewise, add, module)
        elif _is_cube(module):
            vars(module)["forward"] = _Fast(_in_pairs, module, _pair_kernels(module), *pairs)
        elif isinstance(module, vendor.CausalConv3d):
            vars(module)["forward"] = _Fast(_causal, add, module)
    for before, activation in _activated_norms(vae):
        vars(before)["forward"] = _Fast(_whole_norm, norm, before)
        vars(activation)["forward"] = _Fast(_unchanged)


def _activated_norms(vae: Any) -> Iterator[tuple[Any, nn.SiLU]]:  # noqa: ANN401 - the vendor's VAE
    for module in vae.modules():
        for before, after in pairwise(module) if isinstance(module, nn.Sequential) else ():
            if isinstance(before, vendor.RMS_norm) and before.channel_first and isinstance(after, nn.SiLU):
                yield before, after


def encode_clips(vae: Any, videos: Any, device: str, *, tiled: bool = False, **tiles: Any) -> Tensor:  # noqa: ANN401
    """The vendor's `encode`, of whole clips without its detour over the host's memory."""
    if tiled:
        return type(vae).encode(vae, videos, device, tiled=True, **tiles)
    return torch.cat([vae.single_encode(video.unsqueeze(0), device) for video in videos])


def use_plain_vae(vae: Any) -> None:  # noqa: ANN401 - the vendor's VAE
    """Give a VAE the vendor's own layers back; nothing where it has them."""
    for module in vae.modules():
        if isinstance(vars(module).get("forward"), _Fast):
            del vars(module)["forward"]
        order = _channels_last(module)
        if order is not None and module.weight.is_contiguous(memory_format=order):
            module.weight.data = module.weight.data.contiguous()


def _channels_last(module: Any) -> torch.memory_format | None:  # noqa: ANN401 - any module
    """The order in memory of a convolution's weights that is called channels last; None of other modules."""
    if isinstance(module, nn.Conv3d):
        return torch.channels_last_3d
    return torch.channels_last if isinstance(module, nn.Conv2d) else None


class _Fast(partial[Tensor]):
    """What stands in for a layer's own forward on a GPU."""


class _Sized:
    """A function compiled once for each number of channels: sizes along `axes` differ from call to call."""

    def __init__(self, function: Callable[..., Any], backend: str, axes: tuple[int, ...]) -> None:
        self._whole, self._axes = compiled(function, backend), axes

    def __call__(self, *given: Any) -> Any:  # noqa: ANN401 - what the function takes and gives
        """Call the compiled code."""
        for x in given:
            if isinstance(x, Tensor) and x.ndim > 1:
                torch._dynamo.mark_dynamic(x, self._axes)
        return self._whole(*given)


def _whole_norm(norm: Callable[..., Tensor], module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - the vendor's module
    """The vendor's norm and SiLU of ``(b, channels, frames, height, width)``."""
    bias = module.bias.flatten() if isinstance(module.bias, Tensor) else None
    return _by_rows(norm, x, module.gamma.flatten(), bias, module.scale)


def _by_rows(whole: Callable[..., Tensor], x: Tensor, *rest: Any) -> Tensor:  # noqa: ANN401 - what else it takes
    """Apply a function of rows of channels to ``(b, channels, ...)``."""
    last = x.movedim(1, -1)
    return whole(last.flatten(0, -2).contiguous(), *rest).view(last.shape).movedim(-1, 1)


def _norm(rows: Tensor, gamma: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """SiLU of rows brought to one length and scaled, in float32."""
    made = F.normalize(rows.float(), dim=-1) * scale * gamma.float()
    return F.silu(made if bias is None else made + bias.float()).to(rows.dtype)


def _add(rows: Tensor, bias: Tensor) -> Tensor:
    return rows + bias


def _double(pixels: Tensor) -> Tensor:
    """Each pixel of `(h, w, c)` as four."""
    return pixels[:, None, :, None].expand(-1, 2, -1, 2, -1).contiguous()


def _enlarged(double: Callable[..., Tensor], x: Tensor) -> Tensor:
    last = x.movedim(1, -1).contiguous()
    made = double(last.flatten(0, 1))
    return made.view(len(x), 2 * last.shape[1], 2 * last.shape[2], -1).movedim(-1, 1)


def _unchanged(x: Tensor) -> Tensor:
    return x


def _framewise(add: Callable[..., Tensor], conv: nn.Conv2d, x: Tensor) -> Tensor:
    return _by_rows(add, F.conv2d(x, conv.weight, None, conv.stride, conv.padding), conv.bias)


def _causal(add: Callable[..., Tensor], conv: Any, x: Tensor, cache_x: Tensor | None = None) -> Tensor:  # noqa: ANN401
    """The vendor's causal convolution, zeros around a frame not laid out."""
    x = _with_past(x, cache_x, conv._padding[4])
    padding = (0, conv._padding[2], conv._padding[0])
    return _by_rows(add, F.conv3d(x, conv.weight, None, conv.stride, padding), conv.bias)


def _in_pairs(  # noqa: PLR0913 - four of them are given once, and two by the vendor
    conv: Any,  # noqa: ANN401 - the vendor's module
    kernels: list[Tensor],
    spread: Callable[..., tuple[Tensor, ...]],
    gather: Callable[..., Tensor],
    odd: Callable[..., Tensor],
    x: Tensor,
    cache_x: Tensor | None = None,
) -> Tensor:
    """The vendor's causal convolution, by pairs of frames where their number is even."""
    b, _, t, height, width = x.shape
    if t % 2:
        return odd(conv, x, cache_x)
    parts = [*spread(_with_past(x, cache_x, 2).movedim(1, -1).contiguous().flatten(2))]
    size = (b, t // 2, height, width, -1)
    # Each part is let go of once it is read: at the full size of a clip it has hundreds of megabytes.
    made = [_flat(parts.pop(0).view(size), kernel, None).flatten(1, 2).contiguous() for kernel in kernels]
    out = gather(*made, conv.bias)
    return out.view(b, t, height, width, -1).movedim(-1, 1)


def _spread(frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the four convolutions of pairs of frames are of: `(b, 2 + t, n)` to four of `(b, t / 2, n)`."""
    first, second, third, fourth = frames[:, :-2:2], frames[:, 1:-1:2], frames[:, 2::2], frames[:, 3::2]
    return first - third, second + third, third - second, second - fourth


def _gather(one: Tensor, two: Tensor, three: Tensor, four: Tensor, bias: Tensor) -> Tensor:
    """Pairs of frames, `(pairs, 2, n, c)`, of their four convolutions, `(pairs, n, c)` each."""
    two = two.float() + bias
    return torch.stack([one + two + three, two - three - four], dim=1).to(bias.dtype)


def use_conv2d(vae: nn.Module) -> None:
    """Compute the 3x3x3 convolutions of a VAE on the CPU as 2-D ones from now on; weights and names stay as they are.

    For the vendor's short chunks a processor's 3-D convolution spends most of its time rearranging. Each frame stacked
    with its two predecessors in the channels makes the same sum a 2-D one, near the speed of a plain matrix product.
    Where a chunk has an even number of frames, two share their sums over time (Winograd's F(2, 3), "Arithmetic
    Complexity of Computations", 1980): a third less work, and rounds no worse.
    """
    cubes: list[Any] = [module for module in vae.modules() if _is_cube(module)]
    for conv in cubes:
        # The order in memory in which the 2-D convolution reads its weights; their shape and values are untouched.
        order = conv.weight.data.permute(0, 3, 4, 2, 1).contiguous()
        conv.weight.data = order.permute(0, 4, 3, 1, 2)
        # An attribute of the instance hides the class's method.
        conv.forward = partial(_in_pairs, conv, _pair_kernels(conv), _spread, _gather, _stacked)


def _is_cube(module: Any) -> bool:  # noqa: ANN401 - any module
    return isinstance(module, vendor.CausalConv3d) and module.kernel_size == _CUBE and module.stride == (1, 1, 1)


def _pair_kernels(conv: Any) -> list[Tensor]:  # noqa: ANN401 - the vendor's module
    """The four kernels of a pair of frames, `(o, c, 3, 3)` each, in the order that a convolution reads them."""
    first, second, third = conv.weight.data.float().unbind(2)
    kernels = [first, (first + second + third) / 2, (first - second + third) / 2, third]
    return [kernel.to(conv.weight.dtype).contiguous(memory_format=torch.channels_last) for kernel in kernels]


def _with_past(x: Tensor, cache_x: Tensor | None, count: int) -> Tensor:
    """A chunk, `(b, c, t, h, w)`, after the frames before it that a convolution sees; without `cache_x`, zeros."""
    before = 0
    if cache_x is not None and count:
        x, before = torch.cat([cache_x.to(x.device), x], dim=2), cache_x.shape[2]
    return F.pad(x, (0, 0, 0, 0, count - before, 0)) if count > before else x


def _stacked(conv: Any, x: Tensor, cache_x: Tensor | None = None) -> Tensor:  # noqa: ANN401 - the vendor's module
    """The vendor's causal convolution, each frame with its two predecessors in the channels."""
    frames, t = _with_past(x, cache_x, 2).movedim(1, -1), x.shape[2]
    stacked = torch.cat([frames[:, k : k + t] for k in range(3)], dim=-1)
    weight = conv.weight.transpose(1, 2).flatten(1, 2)
    return _flat(stacked, weight, conv.bias).unflatten(0, (-1, t)).movedim(-1, 1)


def _flat(frames: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution of every frame: `(b, t, h, w, c)` to `(b t, h, w, o)`."""
    return F.conv2d(frames.flatten(0, 1).permute(0, 3, 1, 2), weight, bias, padding=1).permute(0, 2, 3, 1)
