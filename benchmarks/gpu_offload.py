"""The GPU benchmark's edit on a small card: what it takes when weights rest on the host."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.gpu_edit import drawn_clip
from benchmarks.gpu_parts import peak_gb
from benchmarks.gpu_record import GB, KEYFRAMES, WIDE, GpuPlan, Row, key_slots, place
from benchmarks.synthetic import Wordless, synthetic_pipeline
from flowedit.frames import slot_count
from flowedit.model import Condition, to_pixels
from flowedit.wan import vendor
from flowedit.wan.checkpoints import Checkpoint
from flowedit.wan.memory import CONTEXT_BYTES, Resources
from flowedit.wan.placement import placement_at

_NARROW_CARD, _WIDE_CARD = 8_000_000_000, 24_000_000_000
"""Bytes of the card that a transformer is to run on with the rest of its weights on the host."""


def offload_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """The parts of an edit within a smaller card's memory, which PyTorch is kept to, the weights on the host."""
    device, dtype = place(plan)
    card = _WIDE_CARD if checkpoint.width.dim > WIDE else _NARROW_CARD
    placement = placement_at(checkpoint, plan.shape, _resources(card), "offload", keyframes=KEYFRAMES)
    pipe = synthetic_pipeline(checkpoint, device=device, dtype=dtype, small=plan.rehearse)
    if not plan.rehearse:
        manage(pipe, placement.vram_limit)
        torch.cuda.empty_cache()
    note = f"kept to a card of {card / GB:.0f} GB; predicted need {placement.needs.gpu / GB:.1f} GB"
    model = Wordless(pipe, name=checkpoint.name, tiling={})
    with torch.inference_mode(), _kept_to(card, device):
        for name, work in _works(plan, checkpoint, model).items():
            begun = time.perf_counter()
            peak = peak_gb(work, device)
            seconds = time.perf_counter() - begun
            yield Row(
                section="offload", checkpoint=checkpoint.name, name=f"offloaded: {name}", keyframes=KEYFRAMES,
                seconds=seconds, peak_gb=peak, note=f"{note}; {_in_use(device)}",
            )  # fmt: skip


def _works(plan: GpuPlan, checkpoint: Checkpoint, model: Wordless) -> dict[str, Callable[[], object]]:
    """What an edit does, one after the other."""
    frames, _ = drawn_clip(plan.shape)
    slots = slot_count(plan.shape.num_frames)
    keys = key_slots(slots)
    stride = checkpoint.size_multiple // 2
    grid = (plan.shape.height // stride, plan.shape.width // stride)
    latents = torch.randn(1, checkpoint.latent_channels, slots + KEYFRAMES, *grid).to(model.pipe.device)
    prepared: list[Any] = []
    condition = Condition(shape=plan.shape, key_slots=tuple(keys))

    def forward() -> Any:  # noqa: ANN401
        return model.velocity(latents, 0.7, prepared[0], [*range(slots), *keys])

    return {
        "tiled encode": lambda: model.encode(to_pixels(frames)),
        "prepare": lambda: prepared.append(model.prepare(condition)),
        "first joint forward": forward,
        "joint forward": forward,
        "tiled decode": lambda: model.decode(latents[:, :, :slots]),
    }


@contextmanager
def _kept_to(card: int, device: str) -> Iterator[None]:
    """Let PyTorch take no more of the GPU than a smaller card would have beside the context."""
    if not device.startswith("cuda"):
        yield
        return
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((card - CONTEXT_BYTES) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _in_use(device: str) -> str:
    """What the driver says is in use now: tensors, the allocator's gaps, and the context."""
    if not device.startswith("cuda"):
        return "no GPU"
    free, total = torch.cuda.mem_get_info()
    return f"{(total - free) / GB:.1f} GB in use by the driver's count"


def _resources(card: int) -> Resources:
    """What a machine with this card would say of itself."""
    half = 1 << 37
    return Resources(
        device="cuda", gpu_name="a smaller card", gpu_total=card, gpu_free=card, capability=(9, 0),
        host_total=half, host_free=half, disk_free=half, cpu="", cores=1,
    )  # fmt: skip


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
