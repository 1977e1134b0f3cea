"""The fast path: diffsynth's own model function with its blocks replaced by compiled ones in real arithmetic.

Nothing around the blocks is touched, so guidance, VACE hints and everything else stay the vendor's. Every part can be
switched off, and `use_plain_blocks` gives the vendor's blocks back, bit for bit.
"""

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.errors import ModelError
from flowedit.wan.blocks import Attend, Kernels, Rotation, block_forward, real_tables

if TYPE_CHECKING:
    from flowedit.wan.parallel import Spread

FLASH3 = ("flash_attn_interface", "fa3_fwd_interface")
"""Modules that FlashAttention-3 comes in: its own build, and the packaged forward half (`pip install fa3-fwd`)."""
HOPPER = (9, 0)
_SHAPES = 256
"""Shapes that one function is compiled for: more than any session meets."""
Run = Callable[[Any, Tensor, Tensor, Tensor, Rotation], Tensor]


def use_fast_blocks(dit: Any, spread: "Spread | None" = None, *, backend: str | None = "inductor") -> None:  # noqa: ANN401
    """Run a transformer's blocks on the fast path from now on, with the attention kernel that suits its weights.

    `spread` are the processes that share the tokens of each forward; with a `backend` of `torch.compile` the first run
    of each length takes longer, and None compiles nothing.
    """
    if getattr(dit, "vram_management_enabled", False):
        raise ModelError(
            "The fast path needs the transformer's weights on one device, and memory management moves them. "
            "Use the level resident, or the plain path."
        )
    weights: Tensor = next(dit.parameters())
    kernel = KERNELS[_suited(weights)]
    kernels = Kernels(kernel if spread is None else partial(spread.attend, kernel), kernel)
    if weights.is_cuda and weights.dtype == torch.bfloat16:
        kernels = kernels._replace(expand=lambda ffn, x: gelu_linear(x, ffn[0].weight, ffn[0].bias))
    run = computing(kernels)
    if backend is not None:
        run = compiled(run, backend)
    # On the host, a forward spends tens of milliseconds on the rotary tables.
    dit.freqs = tuple(table.to(weights.device) for table in dit.freqs)
    path = _Path(run, spread, last=len(dit.blocks) - 1)
    for number, block in enumerate(dit.blocks):
        # An attribute of the instance hides the class's method: module tree, names and weights stay as they are.
        block.forward = partial(path.forward, block, number)


def compiled(function: Callable[..., Any], backend: str) -> Callable[..., Any]:
    """`torch.compile`, one code for each shape; after eight shapes PyTorch would run the rest uncompiled in silence."""
    torch._dynamo.config.cache_size_limit = max(_SHAPES, torch._dynamo.config.cache_size_limit)
    return torch.compile(function, dynamic=False, backend=backend)


def use_plain_blocks(dit: Any) -> None:  # noqa: ANN401 - the vendor's transformer
    """Give a transformer the vendor's own blocks back; nothing where it has them."""
    for block in dit.blocks:
        vars(block).pop("forward", None)


def attention_name(like: Tensor) -> str:
    """The kernel that is taken for tensors like this one, and, where FlashAttention-3 would suit and is not, why."""
    kernel = _suited(like)
    hopper = like.is_cuda and torch.cuda.get_device_capability(like.device) == HOPPER
    return (
        f"{kernel} ({find_flash3().said})" if hopper and (kernel == "flash3" or find_flash3().call is None) else kernel
    )


def _suited(like: Tensor) -> str:
    """The fastest kernel for two-byte floats on this GPU, as measured; PyTorch's choice for everything else.

    It is FlashAttention-3 in bfloat16 where it is installed and the GPU is Hopper's, else cuDNN on Hopper or later.
    """
    if not like.is_cuda or like.dtype not in (torch.bfloat16, torch.float16):
        return "default"
    capability = torch.cuda.get_device_capability(like.device)
    if capability == HOPPER and like.dtype == torch.bfloat16 and find_flash3().call is not None:
        return "flash3"
    return "cudnn" if capability >= HOPPER else "default"


class Flash3(NamedTuple):
    """FlashAttention-3 as it was found: its function, None where none loads, and where it is from or what is wrong."""

    call: Callable[..., Any] | None
    said: str


@cache
def find_flash3() -> Flash3:
    """Look for FlashAttention-3; one that was built for another PyTorch is not used, and `said` tells why."""
    said = "FlashAttention-3 is not installed"
    for name in FLASH3:
        if find_spec(name) is None:
            continue
        try:
            return Flash3(import_module(name).flash_attn_func, f"FlashAttention-3 from {name}")
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            said = f"FlashAttention-3 ({name}) is installed and does not load: {str(error).splitlines()[0]}"
    return Flash3(None, said)


@torch.library.custom_op("flowedit::flash3", mutates_args=())
def flash3(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """FlashAttention-3 of `(b, heads, tokens, d)` each, as one operator that a compiled graph takes whole."""
    call, said = find_flash3()
    if call is None:
        raise ModelError(f"{said}. Install fa3-fwd, or use the kernel cudnn.")
    out = call(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return (out[0] if isinstance(out, tuple) else out).transpose(1, 2)


@flash3.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Its result's shape, type and order in memory."""
    batch, heads, tokens, _ = q.shape
    return q.new_empty(batch, tokens, heads, v.shape[-1]).transpose(1, 2)


def _cudnn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """CuDNN's attention, named outright: a compiled graph keeps no note of the backend that was allowed."""
    op: Any = torch.ops.aten._scaled_dot_product_cudnn_attention
    return op(q, k, v, None, False)[0]  # noqa: FBT003 - the operator's own signature


def _flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    op: Any = torch.ops.aten._scaled_dot_product_flash_attention
    return op(q, k, v)[0]


KERNELS: dict[str, Attend] = {
    "default": F.scaled_dot_product_attention,
    "flash": _flash,
    "cudnn": _cudnn,
    "flash3": flash3,
}
"""Attention by name; all but the first run in two-byte floats on a GPU that has them, and say so themselves."""


@torch.library.custom_op("flowedit::gelu_linear", mutates_args=())
def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`x @ weight.T + bias` and GELU (tanh) in one kernel, which a compiler would take apart, as one operator."""
    op: Any = torch.ops.aten._addmm_activation
    rows = op(bias, x.flatten(0, -2), weight.t(), use_gelu=True)
    return rows.view(*x.shape[:-1], len(weight))


@gelu_linear.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    del bias
    return x.new_empty(*x.shape[:-1], len(weight))


def computing(kernels: Kernels) -> Run:
    """`block_forward` with these kernels, as one function of positional arguments to compile."""

    def run(block: Any, x: Tensor, context: Tensor, modulation: Tensor, rotation: Rotation) -> Tensor:  # noqa: ANN401
        return block_forward(block, x, context, modulation, rotation, kernels)

    return run


class _Path:
    """What the blocks of one transformer share."""

    def __init__(self, run: Run, spread: "Spread | None", last: int) -> None:
        self._run, self._spread, self._last = run, spread, last
        self._table: Tensor | None = None
        self._rotation: Rotation

    def forward(self, block: Any, number: int, x: Tensor, context: Tensor, t_mod: Tensor, freqs: Tensor) -> Tensor:  # noqa: ANN401
        """What the vendor's model function calls in place of the block's own forward."""
        spread = self._spread
        if spread is not None:
            if number == 0:
                spread.check(x.shape[1], block.self_attn.num_heads)
                x = spread.share(x)
            t_mod = spread.share(t_mod) if t_mod.dim() == 4 else t_mod
        if self._table is not freqs:  # every block of one forward is handed the same
            mine = freqs if spread is None else spread.share(freqs.unsqueeze(0))[0]
            self._table, self._rotation = freqs, real_tables(mine)
        x = self._run(block, x, context, t_mod, self._rotation)
        return spread.gather(x) if spread is not None and number == self._last else x
