"""The sections of the GPU benchmark: each yields rows, and none depends on another having run."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.gpu import (
    DEFAULT_LAZY,
    FAST,
    GB,
    KEYFRAMES,
    PLAIN,
    PREDICTED,
    WHOLE,
    Bench,
    Row,
    Section,
    measured,
    peaking,
    timed,
)
from benchmarks.segments import segment_rows, spread_segment_rows
from benchmarks.synthetic import (
    Sightless,
    Wordless,
    drawn_clip,
    forward_inputs,
    forward_of,
    forward_operations,
    key_slots,
    synthetic_pipeline,
    synthetic_vae,
)
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.frames import slot_count
from flowedit.model import Condition, to_pixels
from flowedit.presets import preset_settings
from flowedit.settings import EditSettings
from flowedit.wan import vendor
from flowedit.wan.checkpoints import Width
from flowedit.wan.fast import use_fast_blocks
from flowedit.wan.memory import CONTEXT_BYTES, Resources, token_count
from flowedit.wan.pace import set_pace
from flowedit.wan.parallel import Spread
from flowedit.wan.placement import placement_at
from flowedit.wan.speed import measure_speed, predict_minutes
from flowedit.wan.vae import use_fast_vae

FEW = ("edit of 8 steps, unguided", EditSettings(conditioning="tokens", steps=8))
_NARROW_CARD, _WIDE_CARD = 8_000_000_000, 24_000_000_000
"""Bytes of the card that a transformer is to run on with the rest of its weights on the host."""


def forward_rows(bench: Bench) -> Iterator[Row]:
    """One forward, plain and on the fast path, without keyframes and with joint ones."""
    pipe = synthetic_pipeline(bench, vae=False)
    expected: dict[int, Tensor] = {}
    for name in (PLAIN, FAST):
        if name == FAST:
            use_fast_blocks(pipe.dit, backend=bench.backend)
        for keyframes in (0, KEYFRAMES):
            work = forward_of(bench, pipe, keyframes)
            found, made = measured(work, bench.device, expected.get(keyframes), repeats=2 if bench.wide else 5)
            expected[keyframes] = made
            yield bench.row("forward", name, keyframes=keyframes, tflops=operations_of(bench, keyframes), **found)


def parallel_rows(bench: Bench, spread: Spread) -> Iterator[Row]:
    """Forwards on one GPU, and on all of them together, compared; every process builds the same transformer."""
    if bench.checkpoint.image_route == "segments":
        yield from spread_segment_rows(bench, spread)
        return
    torch.manual_seed(0)
    pipe = synthetic_pipeline(bench, vae=False)
    for keyframes in (KEYFRAMES,) if bench.wide else (0, KEYFRAMES):
        work, expected = forward_of(bench, pipe, keyframes), None
        for name, shared in ((f"{FAST} on 1 GPU", None), (f"{FAST} on {spread.size} GPUs", spread)):
            use_fast_blocks(pipe.dit, shared, backend=bench.backend)
            dist.barrier()
            found, expected = measured(work, bench.device, expected, repeats=3 if bench.wide else 5)
            found |= {} if shared is None else {"note": "error against one GPU; memory of each"}
            yield bench.row("parallel", name, keyframes=keyframes, tflops=operations_of(bench, keyframes), **found)


def edit_rows(bench: Bench) -> Iterator[Row]:
    """A short edit with joint keyframes on the fast path, a row for each stage; and what comes before a preset's."""
    model = _edited_model(bench)
    yield from _stages(bench, model, "edit", *FEW)
    settings = preset_settings(bench.checkpoint.name)
    clip = drawn_clip(bench.shape)
    seconds = timed(lambda: prepare(*clip, model, settings), bench.device, repeats=3)
    yield bench.row("edit", "default preset: prepare", keyframes=KEYFRAMES, seconds=seconds)


def preset_rows(bench: Bench) -> Iterator[Row]:
    """A whole edit by the default preset at the pace lazy; minutes where the transformer is wide."""
    model, settings = _edited_model(bench), preset_settings(bench.checkpoint.name)
    set_pace(model, "lazy")
    yield from _stages(bench, model, "preset", DEFAULT_LAZY, settings.with_(steps=2) if bench.small else settings)


def _edited_model(bench: Bench) -> Wordless:
    pipe: Any = synthetic_pipeline(bench)
    use_fast_blocks(pipe.dit, backend=bench.backend)
    if not bench.small:
        use_fast_vae(pipe.vae)
    pipe.image_encoder = Sightless()
    return Wordless(pipe, name=bench.checkpoint.name)


def _stages(bench: Bench, model: Wordless, section: str, name: str, settings: EditSettings) -> Iterator[Row]:
    row = partial(bench.row, section, keyframes=KEYFRAMES)
    clip, begun = drawn_clip(bench.shape), time.perf_counter()
    # What is compiled, and which kernels suit, is settled by one step before the clock starts.
    next(edit_steps(prepare(*clip, model, settings)))
    yield row(f"{name}: loaded, to its first step", seconds=time.perf_counter() - begun)
    seconds, peak = peaking(partial(_edit, bench, model, settings), bench.device)
    for stage, taken in seconds.items():
        yield row(f"{name}: {stage}", seconds=taken, peak_gb=peak)


def _edit(bench: Bench, model: Wordless, settings: EditSettings) -> dict[str, float]:
    """Edit a drawn clip; seconds of each stage and of all."""
    clip, begun = drawn_clip(bench.shape), time.perf_counter()
    prepared = prepare(*clip, model, settings)
    last = deque(edit_steps(prepared), maxlen=1).pop()
    result = finish(prepared, last.latents)
    return {**result.seconds, "total": time.perf_counter() - begun}


def vae_rows(bench: Bench) -> Iterator[Row]:
    """Encode and decode the clip."""
    vae: Any = synthetic_vae(bench)
    shape, place = bench.shape, {"device": bench.device, "dtype": bench.dtype}
    clip = torch.rand(1, 3, shape.num_frames, shape.height, shape.width).to(**place) * 2 - 1

    @torch.inference_mode()
    def run(name: str, given: Tensor) -> Tensor:
        return getattr(vae, name)(given, device=bench.device)

    latents, expected = run("encode", clip).to(**place), dict[str, Tensor]()
    for kind in ("", WHOLE):
        if kind:
            use_fast_vae(vae, backend=bench.backend)
        for name, given in {"encode": clip, "decode": latents}.items():
            found, made = measured(partial(run, name, given), bench.device, expected.get(name), repeats=3)
            expected.setdefault(name, made)
            yield bench.row("vae", f"VAE {name}{kind}", **found)


def offload_rows(bench: Bench) -> Iterator[Row]:
    """The parts of an edit within a smaller card's memory, which PyTorch is kept to, the weights on the host."""
    card, half = _WIDE_CARD if bench.wide else _NARROW_CARD, 1 << 37
    smaller = Resources(
        device="cuda", gpu_name="a smaller card", gpu_total=card, gpu_free=card, capability=(9, 0),
        host_total=half, host_free=half, disk_free=half,
    )  # fmt: skip
    placement = placement_at(bench.checkpoint, bench.shape, smaller, "offload", keyframes=KEYFRAMES)
    pipe = synthetic_pipeline(bench)
    if not bench.small:
        manage(pipe, placement.vram_limit)
        torch.cuda.empty_cache()
    note = f"kept to a card of {card / GB:.0f} GB; predicted need {placement.needs.gpu / GB:.1f} GB"
    with torch.inference_mode(), _kept_to(card, bench.device):
        for name, work in _parts(bench, Wordless(pipe, name=bench.checkpoint.name, tiling={})).items():
            begun = time.perf_counter()
            _, peak = peaking(work, bench.device)
            found = {"seconds": time.perf_counter() - begun, "peak_gb": peak}
            in_use = "no GPU" if bench.small else f"{_in_use() / GB:.1f} GB in use by the driver's count"
            yield bench.row("offload", f"offloaded: {name}", keyframes=KEYFRAMES, note=f"{note}; {in_use}", **found)


def _parts(bench: Bench, model: Wordless) -> dict[str, Callable[[], object]]:
    """What an edit does, one after the other."""
    slots = slot_count(bench.shape.num_frames)
    keys = key_slots(slots)
    latents = forward_inputs(model.pipe, bench, KEYFRAMES)["latents"].float()
    prepared: list[Any] = []
    condition = Condition(shape=bench.shape, key_slots=tuple(keys))

    def forward() -> Tensor:
        return model.velocity(latents, 0.7, prepared[0], [*range(slots), *keys])

    return {
        "tiled encode": lambda: model.encode(to_pixels(drawn_clip(bench.shape)[0])),
        "prepare": lambda: prepared.append(model.prepare(condition)),
        "first joint forward": forward,
        "joint forward": forward,
        "tiled decode": lambda: model.decode(latents[:, :, :slots]),
    }


@contextmanager
def _kept_to(card: int, device: str) -> Iterator[None]:
    """Let PyTorch take no more of the GPU than a smaller card would have beside the context."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_per_process_memory_fraction((card - CONTEXT_BYTES) / torch.cuda.mem_get_info()[1])
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _in_use() -> int:
    """Bytes that the driver says are in use now: tensors, the allocator's gaps, and the context."""
    free, total = torch.cuda.mem_get_info()
    return total - free


def manage(pipe: vendor.WanVideoPipeline, vram_limit: float | None) -> None:
    """Wrap the layers of every part in the vendor's managed ones, by the vendor's own table."""
    places = {"offload": "cpu", "onload": "cpu", "preparing": pipe.device, "computation": pipe.device}
    stages = {f"{stage}_device": device for stage, device in places.items()}
    stages |= {f"{stage}_dtype": pipe.torch_dtype for stage in places}
    for name, part in list(pipe.named_children()):
        kind = f"{type(part).__module__}.{type(part).__name__}"
        if kind in vendor.VRAM_MANAGEMENT_MODULE_MAPS and not getattr(part, "vram_management_enabled", False):
            layers: Any = vendor.ModelPool().fetch_module_map(kind, stages)
            managed = vendor.enable_vram_management(part.to("cpu"), layers, vram_config=stages, vram_limit=vram_limit)
            setattr(pipe, name, managed)
    pipe.vram_management_enabled = pipe.check_vram_management_state()


def prediction_rows(bench: Bench) -> Iterator[Row]:
    """What `flowedit doctor` predicts of what other sections time, from one block and a small VAE pass."""
    checkpoint, shape = bench.checkpoint, bench.shape
    width = Width(dim=96, ffn=192, heads=2, layers=2) if bench.small else checkpoint.width
    place = {"latent_channels": checkpoint.latent_channels, "device": bench.device, "dtype": bench.dtype}

    def row(name: str, seconds: float, keyframes: int = 0) -> Row:
        return bench.row("prediction", f"{name}{PREDICTED}", keyframes=keyframes, seconds=seconds)

    for path, backend in ((PLAIN, None), (FAST, bench.backend)):
        speed = measure_speed(width, backend=backend, **place)
        for keyframes in (0, KEYFRAMES):
            yield row(path, speed.forward_seconds(width, token_count(checkpoint, shape, keyframes)), keyframes)
    pixels = shape.num_frames * shape.height * shape.width
    yield row(f"VAE encode{WHOLE}", speed.encode * pixels)
    yield row(f"VAE decode{WHOLE}", speed.decode * pixels)
    name, settings = FEW
    minutes = predict_minutes(speed, replace(checkpoint, width=width), shape, settings, keyframes=KEYFRAMES)
    yield row(f"{name}: total", 60 * minutes, KEYFRAMES)


SECTIONS: dict[str, Section] = {
    "forward": forward_rows,
    "edit": edit_rows,
    "preset": preset_rows,
    "offload": offload_rows,
    "prediction": prediction_rows,
    "vae": vae_rows,
    "segments": segment_rows,
}
"""Name -> section; what answers most comes first."""


def operations_of(bench: Bench, keyframes: int) -> float:
    """Operations of one forward of the clip with joint keyframes, in 10**12."""
    return forward_operations(bench.checkpoint.width, token_count(bench.checkpoint, bench.shape, keyframes))
