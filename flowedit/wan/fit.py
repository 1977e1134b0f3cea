"""Choose how a checkpoint shares GPU, host and disk, from what is free; try again one level lower when it does not fit.

The levels differ only in where the transformer's weights rest between uses, in the vendor's memory management; from
`offload` on, layers stay on the GPU as far as its memory goes and are streamed beyond.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from flowedit.errors import ModelError
from flowedit.frames import GROUP
from flowedit.model import ClipShape
from flowedit.wan.checkpoints import Checkpoint, Role
from flowedit.wan.memory import CONTEXT_BYTES, HOST_BASE_BYTES, load_of

if TYPE_CHECKING:
    import torch

    from flowedit.wan.resources import Resources

Level = Literal["resident", "offload", "fp8", "disk", "cpu"]
LEVELS: tuple[Level, ...] = ("resident", "offload", "fp8", "disk")
"""GPU levels from the fastest to the smallest."""
GIB = 1 << 30
GB = 1_000_000_000
_FP8_CAPABILITY_FREE = "float8_e4m3fn"
_FIRST_WITH_BFLOAT16 = (8, 0)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Bytes that a level cannot do without."""

    gpu: int
    host: int


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Where everything lives during a run.

    Attributes:
        level: where the transformer's weights rest.
        device: where it computes.
        dtype_name: the type it computes in.
        text_on_disk: the text encoder is streamed from its file instead of held by the host.
        tiled: the VAE works in tiles.
        vram_limit: GPU memory in GiB up to which the vendor keeps layers there; None for no limit.
        needs: what this level cannot do without.
    """

    level: Level
    device: str
    dtype_name: str
    text_on_disk: bool
    tiled: bool
    vram_limit: float | None
    needs: Needs

    @property
    def dtype(self) -> "torch.dtype":
        """The type it computes in."""
        return _dtype(self.dtype_name)

    def placement(self, role: Role) -> dict[str, Any]:
        """Arguments for diffsynth's `ModelConfig` of one part; empty where the part simply lives on the device."""
        if self.level == "cpu" or (self.level == "resident" and role != "text"):
            return {}
        if role == "text":
            # T5 overflows in float16, so where bfloat16 is missing it computes in float32.
            compute = "float32" if self.dtype_name == "float16" else self.dtype_name
            rest = ("disk", "disk") if self.text_on_disk else ("cpu", "bfloat16")
            return self._stages(rest, ready="bfloat16", compute=compute)
        if role in ("vae", "image"):
            return self._stages(("cpu", self.dtype_name), ready=self.dtype_name, compute=self.dtype_name)
        rest = {
            "offload": ("cpu", self.dtype_name),
            "fp8": ("cpu", _FP8_CAPABILITY_FREE),
            "disk": ("disk", "disk"),
        }[self.level]
        ready = self.dtype_name if self.level == "offload" else _FP8_CAPABILITY_FREE
        return self._stages(rest, ready=ready, compute=self.dtype_name)

    def _stages(self, rest: tuple[str, str], *, ready: str, compute: str) -> dict[str, Any]:
        device, kind = rest
        resting = kind if kind == "disk" else _dtype(kind)
        return {
            "offload_device": device,
            "offload_dtype": resting,
            "onload_device": device,
            "onload_dtype": resting,
            "preparing_device": self.device,
            "preparing_dtype": _dtype(ready),
            "computation_device": self.device,
            "computation_dtype": _dtype(compute),
        }


def own_clip(checkpoint: Checkpoint) -> ClipShape:
    """The clip that a checkpoint was trained for."""
    return ClipShape(num_frames=checkpoint.num_frames, height=checkpoint.height, width=checkpoint.width_px)


def needs_of(checkpoint: Checkpoint, shape: ClipShape, level: Level, *, keyframes: int = 0) -> Needs:
    """GPU and host bytes that a level cannot do without; the text encoder streams from disk where the host is short.

    Args:
        checkpoint: the registry entry.
        shape: the clip.
        level: one of `LEVELS`, or `cpu`.
        keyframes: joint keyframes whose tokens lengthen the sequence.
    """
    weights = {part.role: part.weights for part in checkpoint.parts}
    transformer = weights["dit"] + weights.get("dit2", 0)
    others = weights["vae"] + weights.get("image", 0)
    if level == "cpu":
        load = load_of(checkpoint, shape, keyframes=keyframes, item=4)
        run = 4 * (transformer + others) + max(load.activations, load.vae)
        return Needs(gpu=0, host=HOST_BASE_BYTES + max(run, 2 * weights["text"]))
    load = load_of(checkpoint, shape, keyframes=keyframes, tiled=level != "resident")
    if level == "resident":
        gpu = 2 * (transformer + others) + max(load.activations, load.vae)
        return Needs(gpu=CONTEXT_BYTES + gpu, host=HOST_BASE_BYTES)
    block = 2 * transformer // checkpoint.width.layers
    phase = max(load.activations + block, load.vae + 2 * weights["vae"], 2 * weights.get("image", 0))
    held = {"offload": 2 * transformer, "fp8": transformer, "disk": 0}[level]
    return Needs(gpu=CONTEXT_BYTES + phase, host=HOST_BASE_BYTES + held + 2 * others)


def fit_for(
    checkpoint: Checkpoint, shape: ClipShape, resources: "Resources", level: Level, *, keyframes: int = 0
) -> Fit:
    """Lay out one level on this machine, whether or not it fits."""
    needs = needs_of(checkpoint, shape, level, keyframes=keyframes)
    text = 2 * checkpoint.part("text").weights
    if level == "cpu":
        return Fit(
            level=level, device="cpu", dtype_name="float32", text_on_disk=False, tiled=False, vram_limit=None,
            needs=needs,
        )  # fmt: skip
    tiled = level != "resident"
    load = load_of(checkpoint, shape, keyframes=keyframes, tiled=tiled)
    limit = (resources.gpu_total - CONTEXT_BYTES - max(load.activations, load.vae)) / GIB
    return Fit(
        level=level,
        device=resources.device,
        dtype_name="bfloat16" if resources.capability >= _FIRST_WITH_BFLOAT16 else "float16",
        text_on_disk=needs.host + text > resources.host_free,
        tiled=tiled,
        vram_limit=max(limit, 0.5),
        needs=needs,
    )


def choose_fits(
    checkpoint: Checkpoint,
    shape: ClipShape,
    resources: "Resources",
    *,
    keyframes: int = 0,
    level: Level | Literal["auto"] = "auto",
) -> list[Fit]:
    """List the levels to try: for `auto` the fastest one that fits and the one below it, else just the one asked for.

    Raises:
        ModelError: nothing fits; the message says what is short and which clip would fit.
    """
    if level != "auto":
        return [fit_for(checkpoint, shape, resources, level, keyframes=keyframes)]
    levels: Sequence[Level] = LEVELS if resources.gpu_total else ("cpu",)
    fits = [fit_for(checkpoint, shape, resources, each, keyframes=keyframes) for each in levels]
    for index, fit in enumerate(fits):
        if fit.needs.gpu <= resources.gpu_free and fit.needs.host <= resources.host_free:
            return fits[index : index + 2]
    raise ModelError(_too_small(checkpoint, shape, resources, fits[-1], keyframes))


def run_with_fit(fits: Sequence[Fit], run: Callable[[Fit], T], *, report: Callable[[str], object] = print) -> T:
    """Run with the first fit; out of memory, say so and try once more with the second.

    Args:
        fits: from `choose_fits`.
        run: the work; it is to let go of its model when it fails.
        report: called with one line when a second try starts.

    Raises:
        ModelError: the last try ran out of memory too; the message says what to change.
    """
    for fit, lower_fit in pairwise(fits):
        try:
            return run(fit)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        gc.collect()
        _empty_cache()
        report(f"Out of memory at level {fit.level}; trying once more at level {lower_fit.level}.")
    fit = fits[-1]
    try:
        return run(fit)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(_exhausted(fit, error)) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that GPU or host memory ran out."""
    import torch

    words = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)
    )


def longest_clip(checkpoint: Checkpoint, shape: ClipShape, gpu_free: int, *, keyframes: int = 0) -> int:
    """Most frames of this size that the smallest level can take in this much GPU memory; 0 for none."""
    frames = shape.num_frames
    while frames > 0:
        shorter = ClipShape(num_frames=frames, height=shape.height, width=shape.width)
        if needs_of(checkpoint, shorter, "disk", keyframes=keyframes).gpu <= gpu_free:
            return frames
        frames -= GROUP
    return 0


def _exhausted(fit: Fit, error: Exception) -> str:
    lower = LEVELS[LEVELS.index(fit.level) + 1 :] if fit.level in LEVELS else ()
    cure = f"Use --fit {lower[0]}, or" if lower else "Use"
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"Out of memory at level {fit.level}, which was to need {fit.needs.gpu / GB:.1f} GB of GPU memory and "
        f"{fit.needs.host / GB:.1f} GB of host memory ({reason}). {cure} fewer frames or a smaller size."
    )


def _too_small(checkpoint: Checkpoint, shape: ClipShape, resources: "Resources", fit: Fit, keyframes: int) -> str:
    size = f"{shape.num_frames} frames of {shape.width}x{shape.height}"
    if fit.needs.host > resources.host_free:
        short = fit.needs.host - resources.host_free
        return (
            f"{checkpoint.name} with {size} needs {fit.needs.host / GB:.1f} GB of host memory at level {fit.level}; "
            f"{short / GB:.1f} GB are missing. Free some, or use a smaller checkpoint."
        )
    frames = longest_clip(checkpoint, shape, resources.gpu_free, keyframes=keyframes)
    cure = f"Use {frames} frames" if frames else "Use a smaller size"
    return (
        f"{checkpoint.name} with {size} needs {fit.needs.gpu / GB:.1f} GB of GPU memory even at level {fit.level}; "
        f"{(fit.needs.gpu - resources.gpu_free) / GB:.1f} GB are missing. {cure}, or a smaller checkpoint."
    )


def _dtype(name: str) -> "torch.dtype":
    import torch

    return getattr(torch, name)


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
