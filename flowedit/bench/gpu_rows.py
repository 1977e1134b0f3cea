"""The sections of the GPU benchmark: each yields rows, and none depends on another having run."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from flowedit.bench.gpu import FAST, KEYFRAMES, PLAIN, GpuPlan, Row, Section, key_slots, place
from flowedit.bench.gpu_edit import edit_rows, offload_rows, vae_rows
from flowedit.bench.gpu_parts import call, forward_operations, peak_gb, relative_error, timed
from flowedit.errors import FlowEditError
from flowedit.frames import slot_count
from flowedit.wan.adapter import positions
from flowedit.wan.checkpoints import Checkpoint
from flowedit.wan.fast import FastOptions, KeyStore, attention, use_fast_blocks, use_plain_blocks
from flowedit.wan.memory import token_count
from flowedit.wan.shortcuts import IsolatedKeys, StepCache, using
from flowedit.wan.speed import measure_speed
from flowedit.wan.synthetic import forward_inputs, synthetic_pipeline

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
    for kernel in ("default",) if plan.rehearse else ("default", "flash", "cudnn"):
        attend = attention(kernel, q)
        seconds = timed(partial(attend, q, k, v), device)
        name = f"attention, {kernel}"
        yield Row(
            section="attention", checkpoint=checkpoint.name, name=name, seconds=seconds, tflops=operations,
            error=relative_error(attend(q, k, v), attention("default", q)(q, k, v)),
            note="error against PyTorch's own choice",
        )  # fmt: skip


def forward_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """One forward, plain and on each part of the fast path, without keyframes and with joint ones."""
    device, dtype = place(plan)
    pipe = synthetic_pipeline(checkpoint, device=device, dtype=dtype, vae=False, small=plan.rehearse)
    bench = _Forwards(plan, checkpoint, pipe)
    yield from bench.compared(PLAIN, (0, KEYFRAMES))
    kernels = ("default",) if plan.rehearse else ("cudnn",) if bench.large else ("default", "cudnn")
    for kernel in kernels:
        options = FastOptions(kernel=kernel, compiled=False)
        yield from bench.tried(f"real rotations, {kernel} attention", options, (0,))
    backend = "aot_eager" if plan.rehearse else "inductor"
    yield from bench.tried(FAST, FastOptions(backend=backend), (0, KEYFRAMES))
    if bench.failed:
        yield from bench.tried(FAST, FastOptions(backend=backend, kernel="flash"), (0, KEYFRAMES))
    yield bench.both_branches()
    with using(pipe, IsolatedKeys(pipe.model_fn, bench.store, slot_count(plan.shape.num_frames))):
        yield bench.isolated()
    bench.store.clear()
    cache = StepCache(pipe.model_fn, checkpoint="Wan2.1-T2V-1.3B", steps=10**6, threshold=1e9)
    with using(pipe, cache):
        yield bench.skipped()
    use_plain_blocks(pipe.dit)


class _Forwards:
    """Forwards of one pipeline, timed and compared with the plain path's results."""

    def __init__(self, plan: GpuPlan, checkpoint: Checkpoint, pipe: Any) -> None:  # noqa: ANN401
        self.plan, self.checkpoint, self.pipe = plan, checkpoint, pipe
        self.device, _ = place(plan)
        self.slots = slot_count(plan.shape.num_frames)
        self.keys = key_slots(self.slots)
        self.expected: dict[int, Tensor] = {}
        self.store = KeyStore()
        self.failed = False
        self.large = self.operations(0) > _LARGE

    def inputs(self, keyframes: int) -> dict[str, Any]:
        """Arguments of a forward, the same ones each time."""
        return forward_inputs(self.pipe, self.checkpoint, self.plan.shape, keyframes)

    def row(self, name: str, keyframes: int, work: Callable[[], Tensor], **more: Any) -> Row:  # noqa: ANN401
        """Time a forward, its memory and its error; the first of each length is what the others are compared with."""
        operations = more.pop("tflops", None) or self.operations(keyframes)
        compare = more.pop("compare", True)
        with positions(self.pipe.dit, [*range(self.slots), *self.keys[:keyframes]]):
            made: list[Tensor] = []
            peak = peak_gb(lambda: made.append(work()), self.device)
            error = None
            if compare and keyframes in self.expected:
                error = relative_error(made[0], self.expected[keyframes])
            elif compare:
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
            self.store = use_fast_blocks(self.pipe.dit, options)
            yield from self.compared(name, lengths)
        except (RuntimeError, FlowEditError) as error:
            self.failed = True
            reason = (str(error).splitlines() or [""])[0][:200]
            note = f"{options.kernel} attention failed: {type(error).__name__} {reason}"
            yield Row(section="forward", checkpoint=self.checkpoint.name, name=name, note=note)

    def both_branches(self) -> Row:
        """Both guidance branches in one batch."""
        inputs = self.inputs(0)
        inputs["context"] = inputs["context"].repeat(2, 1, 1)
        for name in ("y", "clip_feature"):
            if name in inputs:
                inputs[name] = inputs[name].repeat(2, *[1] * (inputs[name].ndim - 1))
        name = "fast path, two guidance branches in one batch"
        work = call(self.pipe, inputs)
        return self.row(name, 0, work, tflops=2 * self.operations(0), compare=False)

    def isolated(self) -> Row:
        """A guided pair of joint forwards whose keyframes are run once; the first is compared with the plain joint."""
        name = "fast path, guided pair with isolated keyframes"
        tokens = token_count(self.checkpoint, self.plan.shape)
        keys = token_count(self.checkpoint, self.plan.shape, KEYFRAMES) - tokens
        width = self.checkpoint.width
        operations = 2 * forward_operations(width, tokens, seen=tokens + keys) + forward_operations(width, keys)
        base = self.inputs(KEYFRAMES)

        def pair() -> Tensor:
            # A new tensor each time, as each step has: the keyframes' forward is kept for one tensor only.
            inputs = {**base, "latents": base["latents"].clone()}
            first = call(self.pipe, inputs)()
            call(self.pipe, {**inputs, "context": -inputs["context"]})()
            return first

        note = "two forwards; another attention pattern than the plain joint sequence, so the error is the price"
        return self.row(name, KEYFRAMES, pair, tflops=operations, note=note)

    def skipped(self) -> Row:
        """A step whose blocks the step cache leaves out."""
        # Steps of 4 are what bfloat16 tells apart here; a time that did not fall would be another run's.
        inputs, clock = self.inputs(0), iter(range(1000, 0, -4))

        def step() -> Tensor:
            return call(self.pipe, {**inputs, "timestep": torch.full_like(inputs["timestep"], next(clock))})()

        note = "the time embedding decides which steps are skipped, so random weights cannot say how many are"
        return self.row("forward skipped by step caching", 0, step, compare=False, note=note)


def prediction_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """What `flowedit doctor` predicts of a plain forward from one block at two lengths."""
    device, dtype = place(plan)
    speed = measure_speed(checkpoint.width, latent_channels=checkpoint.latent_channels, device=device, dtype=dtype)
    for keyframes in (0, KEYFRAMES):
        seconds = speed.forward_seconds(checkpoint.width, token_count(checkpoint, plan.shape, keyframes))
        yield Row(
            section="prediction", checkpoint=checkpoint.name, name="plain forward, as predicted",
            keyframes=keyframes, seconds=seconds,
        )  # fmt: skip
    pixels = plan.shape.num_frames * plan.shape.height * plan.shape.width
    name = "VAE encode and decode, as predicted"
    yield Row(section="prediction", checkpoint=checkpoint.name, name=name, seconds=speed.vae * pixels)


SECTIONS: dict[str, Callable[..., Iterator[Row]]] = {
    "machine": machine_rows,
    "attention": attention_rows,
    "forward": forward_rows,
    "vae": vae_rows,
    "edit": edit_rows,
    "prediction": prediction_rows,
    "offload": offload_rows,
}
"""Name -> section, in the order that they run for each checkpoint."""


def sections_of(plan: GpuPlan) -> Iterator[Section]:
    """The sections of a plan, each with the key under which it is recorded."""
    wanted = plan.sections or tuple(SECTIONS)
    if "machine" in wanted:
        yield "machine", partial(machine_rows, plan)
    for checkpoint in plan.checkpoints:
        for name in SECTIONS:
            if name in wanted and name != "machine":
                yield f"{name} {checkpoint.name}", partial(SECTIONS[name], plan, checkpoint)
