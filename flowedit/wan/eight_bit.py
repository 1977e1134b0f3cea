"""Matrix products in 8-bit floats: twice the rate of bfloat16 on Hopper GPUs and later, at a small error.

Each token of the input and each row of the weight has a scale of its own, so that one large value costs the rest of
its row and nothing else.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOAT8 = torch.float8_e4m3fn
LARGEST = float(torch.finfo(FLOAT8).max)
_MULTIPLE = 16
"""Sides that the product of 8-bit matrices asks for."""
_SHARE = 0.25
"""Most of the free GPU memory that the 8-bit copies may take: no plan of a run's memory has them in it."""


class EightBitLinear(nn.Linear):
    """A linear layer whose product runs in 8-bit floats; its own weight stays beside their copy.

    Attributes:
        plain: the layer it was made of, with the same weight and bias.
        eight: the weight in 8 bits, ``(out, in)``.
        scale: ``(out, 1)``, float32: what each row of it is to be multiplied by.
    """

    eight: Tensor
    scale: Tensor

    def __init__(self, plain: nn.Linear) -> None:
        """Round a layer's weight to 8 bits, each row by its own scale.

        Args:
            plain: a layer in a two-byte float, both sides multiples of 16.
        """
        super().__init__(plain.in_features, plain.out_features, bias=plain.bias is not None, device="meta")
        self.weight, self.bias = plain.weight, plain.bias
        # A list, so that it is no layer of this one.
        self._plain = [plain]
        self._round()

    @property
    def plain(self) -> nn.Linear:
        """The layer it was made of."""
        return self._plain[0]

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer: ``(..., in)`` -> ``(..., out)``."""
        rows = input.flatten(0, -2)
        scale = _scale(rows)
        out = product((rows / scale).to(FLOAT8), self.eight, scale.float(), self.scale, input.dtype)
        return (out if self.bias is None else out + self.bias).unflatten(0, input.shape[:-1])

    def _round(self) -> None:
        weight = self.weight.detach()
        scale = _scale(weight)
        self.register_buffer("eight", (weight / scale).to(FLOAT8), persistent=False)
        self.register_buffer("scale", scale.float(), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "EightBitLinear":  # noqa: FBT001, FBT002
        """Move or cast the weight; its copy follows."""
        super()._apply(fn, recurse)
        self._round()
        return self

    def _load_from_state_dict(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - PyTorch's own hook
        """Take another weight, as a LoRA is loaded; its copy follows."""
        super()._load_from_state_dict(*args, **more)
        self._round()


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
    """Whether products of 8-bit matrices run on this tensor's device, as tried, and stand in for its type."""
    return like.is_cuda and like.dtype == torch.bfloat16 and _tried(like.device)


@cache
def _tried(device: torch.device) -> bool:
    """Which GPUs have them depends on PyTorch's version and build as well; so one small product is made."""
    square = torch.ones(_MULTIPLE, _MULTIPLE, device=device)
    try:
        product(square.to(FLOAT8), square.to(FLOAT8), square[:, :1], square[:, :1], torch.bfloat16)
    except RuntimeError:
        return False
    return True


def has_room(block_list: nn.Module, free: int) -> bool:
    """Whether the 8-bit copies of these blocks' weights leave enough memory.

    Args:
        block_list: the blocks.
        free: bytes of GPU memory that are free, the blocks' own weights being loaded.
    """
    return sum(layer.weight.numel() for _, _, layer in _layers(block_list) if _suits(layer)) <= _SHARE * free


def use_eight_bits(blocks: nn.Module) -> None:
    """Put 8-bit products in place of every linear layer that has sides for them.

    Their own weights stay in memory beside the copies, which take half as much again.

    Args:
        blocks: one block, or a list of them.
    """
    for parent, name, layer in list(_layers(blocks)):
        if _suits(layer):
            setattr(parent, name, EightBitLinear(layer))


def use_all_bits(blocks: nn.Module) -> None:
    """Give blocks their own linear layers back; nothing where they have them.

    Args:
        blocks: one block, or a list of them.
    """
    for parent, name, layer in list(_layers(blocks)):
        if isinstance(layer, EightBitLinear):
            setattr(parent, name, layer.plain)


def _layers(blocks: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Every module in blocks, with its parent and the name it has there."""
    for parent in blocks.modules():
        for name, layer in parent.named_children():
            yield parent, name, layer


def _suits(layer: Any) -> bool:  # noqa: ANN401 - any module
    sides = type(layer) is nn.Linear and (layer.in_features % _MULTIPLE, layer.out_features % _MULTIPLE)
    return sides == (0, 0)


def _scale(rows: Tensor) -> Tensor:
    """What brings each row's largest value to the largest that 8 bits hold."""
    return rows.abs().amax(-1, keepdim=True).clamp(min=1e-6) / LARGEST
