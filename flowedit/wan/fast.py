"""The fast path: diffsynth's own model function with its blocks replaced by compiled ones in real arithmetic.

Nothing around the blocks is touched, so guidance, step caching, VACE hints and sequence parallelism stay the vendor's.
Every part can be switched off, and `use_plain_blocks` gives the vendor's blocks back, bit for bit.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.errors import ModelError, SettingError
from flowedit.wan.blocks import Attend, Keys, View, keyed_block, real_tables
from flowedit.wan.eight_bit import runs_on, use_all_bits, use_eight_bits

if TYPE_CHECKING:
    from flowedit.wan import vendor
    from flowedit.wan.parallel import Spread

Kernel = Literal["auto", "flash3", "cudnn", "flash", "default"]
KERNELS: tuple[Kernel, ...] = ("auto", "flash3", "cudnn", "flash", "default")
FLASH3 = ("flash_attn_interface", "fa3_fwd_interface")
"""Modules that FlashAttention-3 comes in: its own build, and the packaged forward half (`pip install fa3-fwd`)."""
_HOPPER = (9, 0)
Run = Callable[..., tuple[Tensor, Keys]]


@dataclass(frozen=True, kw_only=True)
class FastOptions:
    """What of the fast path is used.

    Attributes:
        kernel: attention kernel: `flash3`, `cudnn`, `flash`, PyTorch's own choice (`default`), or the one that suits
            (`auto`: FlashAttention-3 in bfloat16 where it is installed and the GPU is Hopper's, else cuDNN on a Hopper
            GPU or later in two-byte floats, else PyTorch's choice).
        compiled: whether the block is compiled; the first run of each length then takes longer.
        backend: of `torch.compile`.
        eight_bit: whether the linear layers' products run in 8-bit floats, each row with its own scale; the weights
            then take half as much memory again.
    """

    kernel: Kernel = "auto"
    compiled: bool = True
    backend: str = "inductor"
    eight_bit: bool = False


class KeyStore:
    """Keys and values of every block, written by one forward and read by others.

    Attributes:
        mode: `off`, `write` (a forward leaves its keys) or `read` (a forward also sees the stored ones).
    """

    def __init__(self) -> None:
        """Begin empty and off."""
        self.mode: Literal["off", "write", "read"] = "off"
        self._kept: dict[int, Keys] = {}

    def seen_by(self, number: int) -> Keys | None:
        """The stored keys that this block's queries shall see; None unless reading."""
        if self.mode != "read":
            return None
        if number not in self._kept:
            raise ModelError(f"Block {number} has no stored keys; run the keyframes' forward first.")
        return self._kept[number]

    def leave(self, number: int, keys: Keys) -> None:
        """Keep a block's keys, when writing."""
        if self.mode == "write":
            self._kept[number] = keys

    def clear(self) -> None:
        """Let go of everything and switch off."""
        self.mode = "off"
        self._kept.clear()


def use_fast_blocks(
    dit: "vendor.WanModel", options: FastOptions | None = None, spread: "Spread | None" = None
) -> KeyStore:
    """Run a transformer's blocks on the fast path from now on.

    Args:
        dit: diffsynth's transformer, its weights on one device.
        options: which parts; all that suit the device when None.
        spread: the processes that share the tokens of each forward; None for this one alone.

    Returns:
        The store through which one forward's keys can be shown to another; off until used.

    Raises:
        ModelError: the vendor's memory management moves this transformer's layers; the fast path reads them in place.
        SettingError: a kernel that does not exist, or a part that does not run on this device and type.
    """
    options = options or FastOptions()
    like = next(dit.parameters())
    if options.eight_bit and not runs_on(like):
        raise SettingError(
            f"8-bit products run in bfloat16 where the GPU and PyTorch have them; the transformer is "
            f"{like.dtype} on {like.device}. Use the pace fast."
        )
    if getattr(dit, "vram_management_enabled", False):
        raise ModelError(
            "The fast path needs the transformer's weights on one device, and memory management moves them. "
            "Use the level resident, or the plain path."
        )
    attend = attention(options.kernel, like)
    use_plain_blocks(dit)
    run: Run = _named(attend)
    if options.compiled:
        run = torch.compile(run, dynamic=False, backend=options.backend)
    place_tables(dit)
    blocks = _blocks(dit)
    path = _Path(run, KeyStore(), _Tables(), spread, len(blocks) - 1)
    for number, block in enumerate(blocks):
        if options.eight_bit:
            use_eight_bits(block)
        # An attribute of the instance hides the class's method: module tree, names and weights stay as they are.
        block.forward = partial(path.forward, block, number)
    return path.store


def place_tables(dit: Any) -> None:  # noqa: ANN401 - the vendor's transformer, or one block of it
    """Move the rotary tables to where the weights are: on the host, a forward spends tens of milliseconds on them."""
    if hasattr(dit, "freqs"):
        device = next(dit.parameters()).device
        dit.freqs = tuple(table.to(device) for table in dit.freqs)


def use_plain_blocks(dit: "vendor.WanModel") -> None:
    """Give a transformer the vendor's own blocks back; nothing where it has them."""
    for block in _blocks(dit):
        vars(block).pop("forward", None)
        use_all_bits(block)


def is_fast(dit: "vendor.WanModel") -> bool:
    """Whether the blocks run on the fast path."""
    return "forward" in vars(_blocks(dit)[0])


def attention(kernel: str, like: Tensor) -> Attend:
    """The attention of a name, for tensors like this one.

    Raises:
        SettingError: no such kernel, or not on this device and type.
    """
    if kernel not in KERNELS:
        raise SettingError(f"attention kernel is {kernel!r}; use one of {', '.join(KERNELS)}.")
    two_bytes = like.is_cuda and like.dtype in (torch.bfloat16, torch.float16)
    if kernel == "auto":
        kernel = _suited(like) if two_bytes else "default"
    if kernel == "default":
        return F.scaled_dot_product_attention
    if not two_bytes:
        raise SettingError(
            f"attention kernel {kernel!r} runs in bfloat16 or float16 on a GPU; the transformer is {like.dtype} on "
            f"{like.device}. Use default."
        )
    if kernel == "flash3" and _flash3_function() is None:
        raise SettingError(
            "attention kernel 'flash3' is FlashAttention-3, which is not installed. Install fa3-fwd, or use cudnn."
        )
    return {"flash3": flash3, "cudnn": _cudnn, "flash": _flash}[kernel]


def _suited(like: Tensor) -> Kernel:
    """The fastest kernel for two-byte floats on this GPU, as measured."""
    capability = torch.cuda.get_device_capability(like.device)
    if capability == _HOPPER and like.dtype == torch.bfloat16 and _flash3_function() is not None:
        return "flash3"
    return "cudnn" if capability >= _HOPPER else "default"


def lacks_flash3(capability: tuple[int, int]) -> bool:
    """Whether FlashAttention-3 would make a GPU of this compute capability faster, and is not installed."""
    return capability == _HOPPER and _flash3_function() is None


@cache
def _flash3_function() -> Callable[..., Any] | None:
    """FlashAttention-3's own call; None where it is not installed, or was built for another PyTorch."""
    for name in FLASH3:
        with suppress(ImportError, OSError, RuntimeError, AttributeError):
            return import_module(name).flash_attn_func
    return None


@torch.library.custom_op("flowedit::flash3", mutates_args=())
def flash3(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """FlashAttention-3 of ``(b, heads, tokens, d)`` each, as one operator that a compiled graph takes whole."""
    function = _flash3_function()
    if function is None:
        raise ModelError("FlashAttention-3 is not installed. Install fa3-fwd, or use the kernel cudnn.")
    out = function(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
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


def _named(attend: Attend) -> Run:
    """`keyed_block` with positional arguments only, as one function to compile."""

    def run(
        block: Any,  # noqa: ANN401 - the vendor's block
        x: Tensor,
        context: Tensor,
        modulation: Tensor,
        view: View,
    ) -> tuple[Tensor, Keys]:
        return keyed_block(block, x, context, modulation, view, attend)

    return run


class _Tables:
    """Cosine and sine of the table that a forward hands to every block, made once a forward."""

    def __init__(self) -> None:
        self._source: Tensor | None = None
        self._made: tuple[Tensor, Tensor] | None = None

    def of(self, table: Tensor, spread: "Spread | None") -> tuple[Tensor, Tensor]:
        if self._made is None or self._source is not table:
            mine = table if spread is None else spread.share(table.unsqueeze(0))[0]
            self._source, self._made = table, real_tables(mine)
        return self._made


@dataclass(frozen=True)
class _Path:
    """What the blocks of one transformer share."""

    run: Run
    store: KeyStore
    tables: _Tables
    spread: "Spread | None"
    last: int

    def forward(
        self, block: "vendor.DiTBlock", number: int, x: Tensor, context: Tensor, t_mod: Tensor, freqs: Tensor
    ) -> Tensor:
        """What the vendor's model function calls in place of the block's own forward."""
        spread = self.spread
        if spread is not None:
            if number == 0:
                spread.check(x.shape[1], block.self_attn.num_heads)
                x = spread.share(x)
            t_mod = spread.share(t_mod) if t_mod.dim() == 4 else t_mod
        attend = None if spread is None else spread.attend
        view = View(*self.tables.of(freqs, spread), self.store.seen_by(number), attend)
        x, keys = self.run(block, x, context, t_mod, view)
        self.store.leave(number, keys)
        return spread.gather(x) if spread is not None and number == self.last else x


def _blocks(dit: Any) -> list[Any]:  # noqa: ANN401 - the vendor's attributes have no types
    return list(dit.blocks)
