"""The GPU benchmark over several GPUs of one host: `torchrun --nproc-per-node 2 -m benchmarks gpu`.

Every process builds the same transformer from the same seed, times the forward alone on its GPU, and then with the
others; the first process writes the record.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.gpu_parts import call, clean_up, forward_operations, peak_gb, relative_error, timed
from benchmarks.gpu_record import FAST, KEYFRAMES, WIDE, GpuPlan, Row, key_slots, place
from benchmarks.synthetic import forward_inputs, synthetic_pipeline
from flowedit.frames import slot_count
from flowedit.wan.adapter import positions
from flowedit.wan.checkpoints import Checkpoint
from flowedit.wan.fast import FastOptions, use_fast_blocks
from flowedit.wan.memory import token_count
from flowedit.wan.parallel import Spread

_SEED = 0


def parallel_rows(plan: GpuPlan, checkpoint: Checkpoint, spread: Spread) -> Iterator[Row]:
    """Forwards on one GPU, and on all of them together, compared."""
    device, dtype = place(plan)
    torch.manual_seed(_SEED)
    pipe: Any = synthetic_pipeline(checkpoint, device=device, dtype=dtype, vae=False, small=plan.rehearse)
    options = FastOptions(backend="aot_eager" if plan.rehearse else "inductor")
    wide = checkpoint.width.dim > WIDE
    for keyframes in (KEYFRAMES,) if wide else (0, KEYFRAMES):
        work = _forward(plan, checkpoint, pipe, keyframes)
        operations = forward_operations(checkpoint.width, token_count(checkpoint, plan.shape, keyframes))
        expected: Tensor | None = None
        for name, shared in ((f"{FAST} on 1 GPU", None), (f"{FAST} on {spread.size} GPUs", spread)):
            use_fast_blocks(pipe.dit, options, shared)
            made: list[Tensor] = []
            peak = peak_gb(lambda made=made, work=work: made.append(work()), device)
            dist.barrier()
            seconds = timed(work, device, repeats=3 if wide else 5, warm=1)
            error = None if expected is None else relative_error(made[0], expected)
            expected = made[0]
            yield Row(
                section="parallel", checkpoint=checkpoint.name, name=name, keyframes=keyframes, seconds=seconds,
                tflops=operations, peak_gb=peak, error=error,
                note="" if shared is None else "error against one GPU; memory of each",
            )  # fmt: skip
    del pipe
    clean_up()


def _forward(plan: GpuPlan, checkpoint: Checkpoint, pipe: Any, keyframes: int) -> Callable[[], Tensor]:  # noqa: ANN401
    """One forward of the clip with joint keyframes."""
    slots = slot_count(plan.shape.num_frames)
    work = call(pipe, forward_inputs(pipe, checkpoint, plan.shape, keyframes))

    def forward() -> Tensor:
        with positions(pipe.dit, [*range(slots), *key_slots(slots)[:keyframes]]):
            return work()

    return forward
