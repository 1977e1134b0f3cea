"""The VAE as a GPU computes it fastest: memory laid out for its convolutions, norms in one pass."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowedit.wan import vendor


def use_fast_vae(vae: Any, *, backend: str = "inductor") -> None:  # noqa: ANN401 - the vendor's VAE
    """Run a VAE as a GPU does it fastest from now on; the result is the same to rounding.

    Args:
        vae: the vendor's, its weights on one device; on a CPU this gains nothing.
        backend: of `torch.compile`, for the norms.
    """
    use_channels_last(vae)
    use_whole_norms(vae, backend=backend)


def use_plain_vae(vae: Any) -> None:  # noqa: ANN401 - the vendor's VAE
    """Give a VAE the vendor's own layers back; nothing where it has them."""
    for module in vae.modules():
        given = vars(module).get("forward")
        if given is _unchanged or getattr(given, "func", None) in (_whole_norm, _enlarge):
            del vars(module)["forward"]
        if (isinstance(module, nn.Conv3d) and module.weight.is_contiguous(memory_format=torch.channels_last_3d)) or (
            isinstance(module, nn.Conv2d) and module.weight.is_contiguous(memory_format=torch.channels_last)
        ):
            module.weight.data = module.weight.data.contiguous()


def use_channels_last(vae: Any) -> None:  # noqa: ANN401 - the vendor's VAE
    """Lay a VAE's convolution weights out channels last, which its activations then follow; values stay as they are.

    Args:
        vae: the vendor's.
    """
    for module in vae.modules():
        if isinstance(module, nn.Conv3d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)


def use_whole_norms(vae: Any, *, backend: str = "inductor") -> None:  # noqa: ANN401 - the vendor's VAE
    """Compute each norm with the activation after it in one pass over memory, where the vendor's take eleven.

    Enlarging by repetition is done in the pictures' own type, where the vendor's goes through float32: the same values.

    Args:
        vae: the vendor's.
        backend: of `torch.compile`.
    """
    whole = torch.compile(_norm_and_activation, dynamic=False, backend=backend)
    for module in vae.modules():
        if isinstance(module, nn.Sequential):
            for norm, activation in pairwise(module):
                if _is_norm(norm) and isinstance(activation, nn.SiLU):
                    # An attribute of the instance hides the class's method: module tree, names and weights stay.
                    vars(norm)["forward"] = partial(_whole_norm, whole, norm)
                    vars(activation)["forward"] = _unchanged
        elif isinstance(module, nn.Upsample):
            vars(module)["forward"] = partial(_enlarge, module)


def _is_norm(module: nn.Module) -> "TypeGuard[vendor.RMS_norm]":
    return isinstance(module, vendor.RMS_norm) and module.channel_first


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
