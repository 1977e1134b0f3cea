"""One sequence over several GPUs of one host: each carries a share of the tokens through every block.

Attention needs all tokens at once, so that before it each GPU swaps its share of the tokens for a share of the heads,
and back after it (DeepSpeed-Ulysses, arXiv:2309.14509). This is what diffsynth's unified sequence parallelism does; its
own needs the flash-attn library, and this one runs on whichever kernel the fast path uses, by torch.distributed alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from flowedit.errors import SettingError
from flowedit.wan.blocks import Attend

_PATIENCE = timedelta(minutes=5)
"""How long one process waits for the others: longer than any of them compiles."""


@dataclass(frozen=True)
class Spread:
    """This process's place, from 0, among those that share a sequence."""

    rank: int
    size: int

    def check(self, tokens: int, heads: int) -> None:
        """Refuse what cannot be shared out evenly."""
        for count, what in ((heads, "attention heads"), (tokens, "tokens of this clip")):
            if count % self.size:
                raise SettingError(
                    f"{count} {what} do not divide over {self.size} processes. Use another number of processes, or "
                    "a size whose height and width in steps of 16 divide by it."
                )

    def share(self, x: Tensor) -> Tensor:
        """This process's tokens, `(b, tokens, ...)` -> `(b, tokens / size, ...)`."""
        return x.chunk(self.size, dim=1)[self.rank]

    def gather(self, x: Tensor) -> Tensor:
        """Every process's tokens, `(b, tokens / size, ...)` -> `(b, tokens, ...)`."""
        shares = [torch.empty_like(x) for _ in range(self.size)]
        dist.all_gather(shares, x.contiguous())
        return torch.cat(shares, dim=1)

    def attend(self, kernel: Attend, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of all tokens, each process for its share of the heads.

        Queries, keys, values and the result are of this process's tokens, `(b, heads, tokens / size, d)` each; the
        kernel is given whole sequences.
        """
        # Together in one exchange: q, k, v have one shape.
        return self._to_tokens(kernel(*self._to_heads(torch.stack([q, k, v])).unbind(0)))

    def _to_heads(self, x: Tensor) -> Tensor:
        """`(s, b, heads, tokens / size, d)` -> `(s, b, heads / size, tokens, d)`."""
        mine = self._exchange(x.unflatten(2, (self.size, -1)).movedim(2, 0))
        return mine.movedim(0, 3).flatten(3, 4)

    def _to_tokens(self, x: Tensor) -> Tensor:
        """`(b, heads / size, tokens, d)` -> `(b, heads, tokens / size, d)`."""
        mine = self._exchange(x.unflatten(2, (self.size, -1)).movedim(2, 0))
        return mine.movedim(0, 1).flatten(1, 2)

    def _exchange(self, x: Tensor) -> Tensor:
        """Send the i-th part along the first axis to process i, and get the like from each."""
        x = x.contiguous()
        received = torch.empty_like(x)
        dist.all_to_all_single(received, x)
        return received


@contextmanager
def together() -> Iterator[Spread]:
    """Join the processes that `torchrun` started, each on a GPU of its own, and part again at the end."""
    cuda = torch.cuda.is_available()
    if cuda:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise SettingError(
                f"torchrun started process {local + 1} and there are {torch.cuda.device_count()} GPUs. "
                f"Use --nproc-per-node {torch.cuda.device_count()}."
            )
        torch.cuda.set_device(local)
    try:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=_PATIENCE)
    except ValueError as error:
        said = " ".join(str(error).split())
        raise SettingError(f"WORLD_SIZE is set and not by torchrun ({said}): unset it, or use torchrun.") from None
    try:
        yield Spread(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
