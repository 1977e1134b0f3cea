"""The sections of the GPU benchmark: each yields rows, and none depends on another having run."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_edit import WHOLE, edit_rows, edits, vae_rows
from benchmarks.gpu_offload import offload_rows
from benchmarks.gpu_parts import call, forward_operations, peak_gb, relative_error, timed
from benchmarks.gpu_record import (
    CUDNN,
    FAST,
    KEYFRAMES,
    PLAIN,
    PREDICTED,
    WIDE,
    GpuPlan,
    Row,
    key_slots,
    place,
)
from benchmarks.synthetic import forward_inputs, synthetic_pipeline
from flowedit.errors import FlowEditError, SettingError
from flowedit.frames import slot_count
from flowedit.wan.adapter import positions
from flowedit.wan.checkpoints import Checkpoint, Width
from flowedit.wan.fast import FastOptions, attention, use_fast_blocks, use_plain_blocks
from flowedit.wan.memory import token_count
from flowedit.wan.speed import measure_speed, predict_minutes

_MATRIX, _COPY = 8192, 1 << 30
_LARGE = 500
"""Operations, in 10**12, above which a forward is timed less often."""


def machine_rows(plan: GpuPlan) -> Iterator[Row]:
    """What the machine can do at best: a plain matrix product, and a copy."""
    device, dtype = place(plan)
    side = 256 if plan.rehearse else _MATRIX
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = timed(lambda: a @ b, device, repeats=20, warm=3)
    name = f"matrix product {side}x{side}x{side}"
    yield Row(section="machine", checkpoint="", name=name, seconds=seconds, tflops=2 * side**3 / 1e12)
    size = 1 << 20 if plan.rehearse else _COPY
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = timed(lambda: target.copy_(source), device, repeats=20, warm=3)
    note = f"{2 * size / seconds / 1e9:.0f} GB/s read and written"
    yield Row(section="machine", checkpoint="", name="copy", seconds=seconds, note=note)


def attention_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """One self-attention of the clip's tokens, by each kernel."""
    device, dtype = place(plan)
    width, tokens = checkpoint.width, token_count(checkpoint, plan.shape)
    heads = 2 if plan.rehearse else width.heads
    q, k, v = (torch.randn(1, tokens, heads, 128, device=device, dtype=dtype).transpose(1, 2) for _ in range(3))
    operations = 4 * tokens**2 * heads * 128 / 1e12
    for kernel in ("default",) if plan.rehearse else ("default", "flash", "cudnn", "flash3"):
        try:
            attend = attention(kernel, q)
        except SettingError as error:
            yield Row(section="attention", checkpoint=checkpoint.name, name=f"attention, {kernel}", note=str(error))
            continue
        seconds = timed(partial(attend, q, k, v), device)
        name = f"attention, {kernel}"
        yield Row(
            section="attention", checkpoint=checkpoint.name, name=name, seconds=seconds, tflops=operations,
            error=relative_error(attend(q, k, v), attention("default", q)(q, k, v)),
            note="error against PyTorch's own choice",
        )  # fmt: skip


def forward_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """One forward, plain and on the fast path, without keyframes and with joint ones."""
    device, dtype = place(plan)
    pipe = synthetic_pipeline(checkpoint, device=device, dtype=dtype, vae=False, small=plan.rehearse)
    bench = _Forwards(plan, checkpoint, pipe)
    yield from bench.compared(PLAIN, (0, KEYFRAMES))
    backend = "aot_eager" if plan.rehearse else "inductor"
    yield from bench.tried(FAST, FastOptions(backend=backend), (0, KEYFRAMES))
    if bench.failed:
        yield from bench.tried(FAST, FastOptions(backend=backend, kernel="flash"), (0, KEYFRAMES))
    if not plan.rehearse:
        yield from bench.tried(CUDNN, FastOptions(kernel="cudnn"), (0,))
    use_plain_blocks(pipe.dit)


class _Forwards:
    """Forwards of one pipeline, timed and compared with the plain path's results."""

    def __init__(self, plan: GpuPlan, checkpoint: Checkpoint, pipe: Any) -> None:  # noqa: ANN401
        self.plan, self.checkpoint, self.pipe = plan, checkpoint, pipe
        self.device, _ = place(plan)
        self.slots = slot_count(plan.shape.num_frames)
        self.keys = key_slots(self.slots)
        self.expected: dict[int, Tensor] = {}
        self.failed = False
        self.large = self.operations(0) > _LARGE

    def inputs(self, keyframes: int) -> dict[str, Any]:
        """Arguments of a forward, the same ones each time."""
        return forward_inputs(self.pipe, self.checkpoint, self.plan.shape, keyframes)

    def row(self, name: str, keyframes: int, work: Callable[[], Tensor], **more: Any) -> Row:  # noqa: ANN401
        """Time a forward, its memory and its error; the first of each length is what the others are compared with."""
        operations = self.operations(keyframes)
        with positions(self.pipe.dit, [*range(self.slots), *self.keys[:keyframes]]):
            made: list[Tensor] = []
            peak = peak_gb(lambda: made.append(work()), self.device)
            error = None
            if keyframes in self.expected:
                error = relative_error(made[0], self.expected[keyframes])
            else:
                self.expected[keyframes] = made[0].clone()
            seconds = timed(work, self.device, repeats=2 if self.large else 5, warm=0)
        return Row(
            section="forward", checkpoint=self.checkpoint.name, name=name, keyframes=keyframes, seconds=seconds,
            tflops=operations, peak_gb=peak, error=error, **more,
        )  # fmt: skip

    def operations(self, keyframes: int) -> float:
        """Operations of one forward of the clip with joint keyframes."""
        return forward_operations(self.checkpoint.width, token_count(self.checkpoint, self.plan.shape, keyframes))

    def compared(self, name: str, lengths: tuple[int, ...]) -> Iterator[Row]:
        """The forward at these numbers of keyframes."""
        for keyframes in lengths:
            yield self.row(name, keyframes, call(self.pipe, self.inputs(keyframes)))

    def tried(self, name: str, options: FastOptions, lengths: tuple[int, ...]) -> Iterator[Row]:
        """The forward on the fast path with these options; what does not run here is a row that says why."""
        self.failed = False
        try:
            use_fast_blocks(self.pipe.dit, options)
            yield from self.compared(name, lengths)
        except (RuntimeError, FlowEditError) as error:
            self.failed = True
            reason = (str(error).splitlines() or [""])[0][:200]
            note = f"{options.kernel} attention failed: {type(error).__name__} {reason}"
            yield Row(section="forward", checkpoint=self.checkpoint.name, name=name, note=note)


def prediction_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """What `flowedit doctor` predicts of what other sections time, from one block and a small VAE pass."""
    device, dtype = place(plan)
    channels = checkpoint.latent_channels
    width = Width(dim=96, ffn=192, heads=2, layers=2) if plan.rehearse else checkpoint.width
    backend = "aot_eager" if plan.rehearse else "inductor"
    for path, fast in ((PLAIN, None), (FAST, FastOptions(backend=backend))):
        speed = measure_speed(width, latent_channels=channels, device=device, dtype=dtype, fast=fast)
        for keyframes in (0, KEYFRAMES):
            seconds = speed.forward_seconds(width, token_count(checkpoint, plan.shape, keyframes))
            yield _predicted(checkpoint, path, seconds, keyframes)
    pixels = plan.shape.num_frames * plan.shape.height * plan.shape.width
    yield _predicted(checkpoint, f"VAE encode{WHOLE}", speed.encode * pixels)
    yield _predicted(checkpoint, f"VAE decode{WHOLE}", speed.decode * pixels)
    for name, settings in edits().items():
        minutes = predict_minutes(speed, replace(checkpoint, width=width), plan.shape, settings, keyframes=KEYFRAMES)
        yield _predicted(checkpoint, f"{name}: total", 60 * minutes, KEYFRAMES)


def _predicted(checkpoint: Checkpoint, name: str, seconds: float, keyframes: int = 0) -> Row:
    return Row(
        section="prediction", checkpoint=checkpoint.name, name=f"{name}{PREDICTED}", keyframes=keyframes,
        seconds=seconds,
    )  # fmt: skip


SECTIONS: dict[str, Callable[..., Iterator[Row]]] = {
    "machine": machine_rows,
    "forward": forward_rows,
    "edit": edit_rows,
    "vae": vae_rows,
    "offload": offload_rows,
    "prediction": prediction_rows,
    "attention": attention_rows,
}
"""Name -> section."""
_ORDER = (
    *(("forward", False), ("edit", False), ("offload", False), ("offload", True), ("prediction", False)),
    *(("vae", False), ("forward", True), ("prediction", True), ("edit", True)),
)
"""Section, and whether of a wide transformer: what answers most comes first; the rest follows as it stands above."""


def sections_of(plan: GpuPlan) -> Iterator[tuple[str, Callable[[], Iterator[Row]]]]:
    """The sections of a plan, each with the key under which it is recorded."""
    wanted = [name for name in SECTIONS if name in (plan.sections or SECTIONS)]
    if "machine" in wanted:
        yield "machine", partial(machine_rows, plan)
    pairs = [(name, each) for each in plan.checkpoints for name in wanted if name != "machine"]

    def rank(pair: tuple[str, Checkpoint]) -> int:
        key = pair[0], pair[1].width.dim > WIDE
        return _ORDER.index(key) if key in _ORDER else len(_ORDER)

    for name, checkpoint in sorted(pairs, key=rank):
        yield f"{name} {checkpoint.name}", partial(SECTIONS[name], plan, checkpoint)
