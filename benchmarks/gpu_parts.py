"""What the sections of the GPU benchmark share: timing, memory, counting operations."""

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_record import GB
from flowedit.wan.checkpoints import Width

TEXT_TOKENS = 512


def timed(work: Callable[[], object], device: str, *, repeats: int = 5, warm: int = 1) -> float:
    """Median seconds of some runs, by CUDA events on a GPU.

    Args:
        work: what to time.
        device: `cuda` or `cpu`.
        repeats: runs that count.
        warm: runs before them that do not.
    """
    for _ in range(warm):
        work()
    return median(_once(work, device) for _ in range(repeats))


def _once(work: Callable[[], object], device: str) -> float:
    if not device.startswith("cuda"):
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


def peak_gb(work: Callable[[], object], device: str) -> float | None:
    """Most memory that PyTorch held on the GPU while the work ran, the weights included; None on a CPU."""
    if not device.startswith("cuda"):
        work()
        return None
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / GB


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of what was expected."""
    # The vendor leaves what it made of tiles on the host.
    difference = (found.to(expected.device).double() - expected.double()).square().mean().sqrt()
    return float(difference / expected.double().square().mean().sqrt())


def forward_operations(width: Width, tokens: int, *, seen: int | None = None) -> float:
    """Floating-point operations, in 10**12, of one forward: matrix products and attention, two per multiply-add.

    Args:
        width: the transformer's sizes.
        tokens: length of the sequence.
        seen: keys that each query sees; the tokens themselves when None.
    """
    seen = tokens if seen is None else seen
    products = (6 * width.dim**2 + 2 * width.dim * width.ffn) * tokens + 2 * width.dim**2 * TEXT_TOKENS
    attention = 2 * width.dim * tokens * (seen + TEXT_TOKENS)
    return 2 * width.layers * (products + attention) / 1e12


def clean_up() -> None:
    """Let go of what the last section held, compiled code included."""
    with suppress(AttributeError):
        torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def call(pipe: Any, inputs: dict[str, Any]) -> Callable[[], Tensor]:  # noqa: ANN401 - the vendor's pipeline
    """One forward through whatever model function the pipeline has now."""

    def forward() -> Tensor:
        with torch.inference_mode():
            return pipe.model_fn(**inputs)

    return forward
