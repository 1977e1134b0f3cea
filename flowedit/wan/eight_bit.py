"""Matrix products in 8-bit floats: twice the rate of bfloat16 on Hopper GPUs and later, at a small error.

Each token of the input and each row of the weight has a scale of its own, so that one large value costs the rest of
its row and nothing else.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOAT8 = torch.float8_e4m3fn
LARGEST = float(torch.finfo(FLOAT8).max)
_FIRST_GPU = (8, 9)
_MULTIPLE = 16
"""Sides that the product of 8-bit matrices asks for."""


class EightBitLinear(nn.Module):
    """A linear layer whose product runs in 8-bit floats; the layer it stands for is kept, and given back whole.

    Attributes:
        plain: the layer it was made of.
        weight: ``(out, in)`` in 8 bits.
        scale: ``(out, 1)``, what each row of it is to be multiplied by.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, plain: nn.Linear) -> None:
        """Round a layer's weight to 8 bits, each row by its own scale.

        Args:
            plain: a layer in a two-byte float, both sides multiples of 16.
        """
        super().__init__()
        # A list, so that the layer's own weights do not count as parameters of this one.
        self._plain = [plain]
        scale = _scale(plain.weight)
        self.register_buffer("weight", (plain.weight / scale).to(FLOAT8), persistent=False)
        self.register_buffer("scale", scale.float(), persistent=False)
        self.bias = plain.bias

    @property
    def plain(self) -> nn.Linear:
        """The layer it was made of."""
        return self._plain[0]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: ``(..., in)`` -> ``(..., out)``."""
        rows = x.flatten(0, -2)
        scale = _scale(rows)
        out = product((rows / scale).to(FLOAT8), self.weight, scale.float(), self.scale, x.dtype)
        return (out if self.bias is None else out + self.bias).unflatten(0, x.shape[:-1])


def product(rows: Tensor, weight: Tensor, row_scale: Tensor, weight_scale: Tensor, dtype: torch.dtype) -> Tensor:
    """``rows @ weight.T`` of 8-bit matrices, each row times its scale.

    Args:
        rows: ``(n, in)``.
        weight: ``(out, in)``.
        row_scale: ``(n, 1)``, float32.
        weight_scale: ``(out, 1)``, float32.
        dtype: of the result.

    Returns:
        ``(n, out)``.
    """
    if rows.is_cuda:
        return torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage] the only product of 8-bit matrices
            rows, weight.t(), scale_a=row_scale, scale_b=weight_scale.t(), out_dtype=dtype, use_fast_accum=True
        )
    return (F.linear(rows.float(), weight.float()) * row_scale * weight_scale.t()).to(dtype)


def runs_on(like: Tensor) -> bool:
    """Whether products of 8-bit matrices run on this tensor's device and stand in for its type."""
    return like.is_cuda and like.dtype == torch.bfloat16 and torch.cuda.get_device_capability(like.device) >= _FIRST_GPU


def use_eight_bits(block: nn.Module) -> None:
    """Put 8-bit products in place of every linear layer of a block that has sides for them.

    The layers they were made of stay in memory, so that the weights take half as much again.
    """
    for parent, name, layer in list(_layers(block)):
        if isinstance(layer, nn.Linear) and not layer.in_features % _MULTIPLE and not layer.out_features % _MULTIPLE:
            setattr(parent, name, EightBitLinear(layer))


def use_all_bits(block: nn.Module) -> None:
    """Give a block its own linear layers back; nothing where it has them."""
    for parent, name, layer in list(_layers(block)):
        if isinstance(layer, EightBitLinear):
            setattr(parent, name, layer.plain)


def _layers(block: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Every module in a block, with its parent and the name it has there."""
    for parent in block.modules():
        for name, layer in parent.named_children():
            yield parent, name, layer


def _scale(rows: Tensor) -> Tensor:
    """What brings each row's largest value to the largest that 8 bits hold."""
    return rows.abs().amax(-1, keepdim=True).clamp(min=1e-6) / LARGEST
