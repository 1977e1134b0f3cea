"""Choose how a checkpoint shares GPU, host and disk, from what is free.

The levels differ only in where the transformer's weights rest between uses, in the vendor's memory management; from
`offload` on, layers stay on the GPU as far as its memory goes and are streamed beyond.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flowedit.errors import ModelError
from flowedit.frames import GROUP, ClipShape
from flowedit.wan.checkpoints import Checkpoint, Role
from flowedit.wan.memory import CONTEXT_BYTES, HOST_BASE_BYTES, Resources, load_of

if TYPE_CHECKING:
    import torch

Level = Literal["resident", "offload", "fp8", "disk", "cpu"]
LEVELS: tuple[Level, ...] = ("resident", "offload", "fp8", "disk")
"""GPU levels from the fastest to the smallest."""
GIB = 1 << 30
GB = 1_000_000_000
_FP8 = "float8_e4m3fn"
_STAGES = ("offload", "onload", "preparing", "computation")
"""Where the vendor keeps a layer: at rest, ready at hand, on its way, in use."""
_FIRST_WITH_BFLOAT16 = (8, 0)
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")


class Needs(NamedTuple):
    """Bytes that a level cannot do without."""

    gpu: int
    host: int


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where everything lives during a run, and what that cannot do without.

    Attributes:
        level: where the transformer's weights rest.
        device, dtype_name: where and in which type it computes.
        text_on_disk: the text encoder is streamed from its file instead of held by the host.
        tiled: the VAE works in tiles.
        vram_limit: GPU memory in GiB up to which the vendor keeps layers there; None for no limit.
    """

    level: Level
    device: str
    dtype_name: str
    text_on_disk: bool = False
    tiled: bool = False
    vram_limit: float | None = None
    needs: Needs

    @property
    def dtype(self) -> "torch.dtype":
        """The type it computes in."""
        return torch_type(self.dtype_name)

    def __str__(self) -> str:
        text = ", the text encoder streamed from the disk" if self.text_on_disk else ""
        tiles = ", the VAE in tiles" if self.tiled else ""
        return f"level {self.level} on {self.device} in {self.dtype_name}{text}{tiles}"

    def arguments(self, role: Role) -> dict[str, Any]:
        """Arguments for diffsynth's `ModelConfig` of one part; empty where the part simply lives on the device."""
        if self.level == "cpu" or (self.level == "resident" and role != "text"):
            return {}
        rest = ready = compute = self.dtype_name
        if role == "text":
            # T5 overflows in float16, so where bfloat16 is missing it computes in float32.
            compute = "float32" if compute == "float16" else compute
            rest, ready = "disk" if self.text_on_disk else "bfloat16", "bfloat16"
        elif role in ("dit", "dit2") and self.level != "offload":
            rest, ready = "disk" if self.level == "disk" else _FP8, _FP8
        resting = ("disk", "disk") if rest == "disk" else ("cpu", torch_type(rest))
        places = (resting, resting, (self.device, torch_type(ready)), (self.device, torch_type(compute)))
        found: dict[str, Any] = {}
        for stage, (device, kind) in zip(_STAGES, places, strict=True):
            found |= {f"{stage}_device": device, f"{stage}_dtype": kind}
        return found


def torch_type(name: str) -> "torch.dtype":
    """PyTorch's type of a name such as `bfloat16`."""
    import torch

    return getattr(torch, name)


def own_clip(checkpoint: Checkpoint) -> ClipShape:
    """The clip that a checkpoint was trained for."""
    return ClipShape(num_frames=checkpoint.num_frames, height=checkpoint.height, width=checkpoint.width_px)


def needs_of(checkpoint: Checkpoint, shape: ClipShape, level: Level, *, keyframes: int = 0) -> Needs:
    """Bytes that a level cannot do without; the text encoder streams from disk where the host is short.

    `keyframes` are joint ones, whose tokens lengthen the sequence.
    """
    weights = {part.role: part.weights for part in checkpoint.parts}
    transformer = weights["dit"] + weights.get("dit2", 0)
    others = weights["vae"] + weights.get("image", 0)
    item = 4 if level == "cpu" else 2
    load = load_of(checkpoint, shape, keyframes=keyframes, item=item, tiled=level not in ("resident", "cpu"))
    together = item * (transformer + others) + max(load.activations, load.vae)
    if level == "cpu":
        return Needs(gpu=0, host=HOST_BASE_BYTES + max(together, 2 * weights["text"]))
    if level == "resident":
        return Needs(gpu=CONTEXT_BYTES + together, host=HOST_BASE_BYTES)
    block = 2 * transformer // checkpoint.width.layers
    phase = max(load.activations + block, load.vae + 2 * weights["vae"], 2 * weights.get("image", 0))
    held = {"offload": 2 * transformer, "fp8": transformer, "disk": 0}[level]
    return Needs(gpu=CONTEXT_BYTES + phase, host=HOST_BASE_BYTES + held + 2 * others)


def placement_at(
    checkpoint: Checkpoint, shape: ClipShape, resources: Resources, level: Level, *, keyframes: int = 0
) -> Placement:
    """Lay out one level on this machine, whether or not it fits."""
    needs = needs_of(checkpoint, shape, level, keyframes=keyframes)
    if level == "cpu":
        return Placement(level=level, device="cpu", dtype_name="float32", needs=needs)
    tiled = level != "resident"
    load = load_of(checkpoint, shape, keyframes=keyframes, tiled=tiled)
    limit = (resources.gpu_total - CONTEXT_BYTES - max(load.activations, load.vae)) / GIB
    return Placement(
        level=level,
        device=resources.device,
        dtype_name="bfloat16" if resources.capability >= _FIRST_WITH_BFLOAT16 else "float16",
        text_on_disk=needs.host + 2 * checkpoint.part("text").weights > resources.host_free,
        tiled=tiled,
        vram_limit=max(limit, 0.5),
        needs=needs,
    )


def placements(
    checkpoint: Checkpoint,
    shape: ClipShape,
    resources: Resources,
    *,
    keyframes: int = 0,
    level: Level | Literal["auto"] = "auto",
) -> list[Placement]:
    """Those to try: for `auto` the fastest level that fits and the one below it, else just the one asked for."""
    if level != "auto":
        return [placement_at(checkpoint, shape, resources, level, keyframes=keyframes)]
    levels: Sequence[Level] = LEVELS if resources.gpu_total else ("cpu",)
    found = [placement_at(checkpoint, shape, resources, each, keyframes=keyframes) for each in levels]
    for index, placement in enumerate(found):
        if placement.needs.gpu <= resources.gpu_free and placement.needs.host <= resources.host_free:
            return found[index : index + 2]
    raise ModelError(_too_small(checkpoint, shape, resources, found[-1], keyframes))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that GPU or host memory ran out."""
    import torch

    said = isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
    return said or isinstance(error, torch.OutOfMemoryError | MemoryError)


def exhausted(placement: Placement, error: Exception) -> ModelError:
    """The error of a run that ran out of memory at the last level there is to try; it says what to change."""
    lower = LEVELS[LEVELS.index(placement.level) + 1 :] if placement.level in LEVELS else ()
    cure = f"Use --placement {lower[0]}, or" if lower else "Use"
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"Out of memory at level {placement.level}, which was to need {placement.needs.gpu / GB:.1f} GB of GPU memory "
        f"and {placement.needs.host / GB:.1f} GB of host memory ({reason}). {cure} fewer frames or a smaller size."
    )


def free_memory() -> None:
    """Give back what a model left behind that ran out of memory."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _too_small(
    checkpoint: Checkpoint, shape: ClipShape, resources: Resources, placement: Placement, keyframes: int
) -> str:
    needs, level = placement.needs, placement.level
    subject = f"{checkpoint.name} with {shape.num_frames} frames of {shape.width}x{shape.height}"
    if needs.host > resources.host_free:
        return (
            f"{subject} needs {needs.host / GB:.1f} GB of host memory at level {level}; "
            f"{(needs.host - resources.host_free) / GB:.1f} GB are missing. Free some, or use a smaller checkpoint."
        )
    shorter = (replace(shape, num_frames=frames) for frames in range(shape.num_frames, 0, -GROUP))
    fitting = (s for s in shorter if needs_of(checkpoint, s, level, keyframes=keyframes).gpu <= resources.gpu_free)
    longest = next(fitting, None)
    cure = f"Use {longest.num_frames} frames" if longest else "Use a smaller size"
    return (
        f"{subject} needs {needs.gpu / GB:.1f} GB of GPU memory even at level {level}; "
        f"{(needs.gpu - resources.gpu_free) / GB:.1f} GB are missing. {cure}, or a smaller checkpoint."
    )
