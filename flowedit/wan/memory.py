"""How much memory a Wan run takes, from its sizes alone, and how much this machine has.

The constants are bytes counted by running the vendor's own forward on the meta device and adding up what is alive at
the worst moment; a test repeats that count. Attention is taken as fused, so no score matrix is kept.
"""

import ctypes
import math
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from flowedit.frames import ClipShape, slot_count
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import Checkpoint, Width
from flowedit.wan.files import models_folder

PATCH = 2
CONTEXT_BYTES = 1_200_000_000
"""What a CUDA context, cuDNN's and cuBLAS's workspaces and the allocator's gaps take beside the tensors."""
HOST_BASE_BYTES = 2_000_000_000
"""What Python with torch, diffsynth and a clip takes on the host."""
TILE = (30, 52)
"""The vendor's VAE tile, in latent rows and columns."""

_STREAM = 3.36
"""Residual stream and modulated input alive beside any big operation: values per token and channel."""
_ROPE_DOUBLE, _ROPE_STREAM = 16.2, 5.02
"""Rotary embedding runs in float64 whatever the model's type: bytes, and values, per token and channel."""
_PER_TOKEN_TIME = 13.0
"""A row of time modulation per token: values per token and channel."""
_VAE_DECODE = {16: (9722.0, 6.25), 48: (10757.0, 6.25)}
"""Latent channels -> bytes per output pixel (fixed, and per frame) of a decode in two-byte floats; encoding is less."""
_CGROUP = Path("/sys/fs/cgroup")


class Load(NamedTuple):
    """Bytes alive beside the weights at the worst moment of a forward, and of a decode."""

    activations: int
    vae: int


def slot_tokens(checkpoint: Checkpoint, shape: ClipShape) -> int:
    """Patches of one latent slot."""
    return (shape.height // checkpoint.size_multiple) * (shape.width // checkpoint.size_multiple)


def token_count(checkpoint: Checkpoint, shape: ClipShape, keyframes: int = 0) -> int:
    """Length of the sequence: the clip's slots, the source's where they are tokens too, and a slot a keyframe in it."""
    clips = 2 if checkpoint.image_route == "segments" else 1
    return (clips * slot_count(shape.num_frames) + keyframes) * slot_tokens(checkpoint, shape)


def keyframes_in(checkpoint: Checkpoint, conditioning: str, keyframes: int) -> int:
    """Slots that so many keyframes add to the sequence: as joint tokens, and as images where these are tokens too."""
    joint = conditioning in ("tokens", "both")
    shown = conditioning in ("i2v", "both") and checkpoint.image_route == "segments"
    return (joint + shown) * keyframes


def forward_lengths(checkpoint: Checkpoint, shape: ClipShape, settings: EditSettings, keyframes: int = 0) -> list[int]:
    """Length of the sequence of each transformer call of a run: every step, and again for the source of `difference`.

    With guidance a velocity takes two calls, or, where source and keyframes are tokens too, a call for each of them.
    """
    slot, steps, guidances = slot_tokens(checkpoint, shape), settings.steps, [settings.guidance]
    if settings.method == "difference":
        steps -= round((1 - settings.strength) * settings.steps)
        guidances.append(settings.guidance if settings.source_guidance is None else settings.source_guidance)
    whole = token_count(checkpoint, shape, keyframes_in(checkpoint, settings.conditioning, keyframes))
    unprompted = [whole]
    if checkpoint.image_route == "segments" and settings.conditioning in ("i2v", "both") and keyframes:
        clip = whole - (slot_count(shape.num_frames) + keyframes) * slot
        unprompted = [clip, whole - keyframes * slot, whole]
    return [n for guidance in guidances for n in [whole, *(unprompted if guidance != 1 else [])]] * steps


def activation_bytes(width: Width, tokens: int, *, item: int = 2, per_token_time: bool = False) -> int:
    """Bytes alive at the worst moment of one forward, in values of `item` bytes.

    Where time is given per token (TI2V with its first latent held), its modulation has a row for each.
    """
    feed_forward = item * (_STREAM + 2 * width.ffn / width.dim)
    rotary = _ROPE_DOUBLE + item * _ROPE_STREAM
    worst = max(feed_forward, rotary)
    if width.vace_layers:
        hints = width.vace_layers + 1
        worst = max(worst + item * hints, item * (2 * width.vace_layers + 1 + _STREAM))
    if per_token_time:
        worst += item * _PER_TOKEN_TIME
    return math.ceil(worst * tokens * width.dim)


def vae_bytes(checkpoint: Checkpoint, shape: ClipShape, *, item: int = 2, tiled: bool = False) -> int:
    """Bytes alive at the worst moment of decoding the clip; tiles are put together on the host."""
    stride = checkpoint.size_multiple // PATCH
    rows, columns = shape.height, shape.width
    if tiled:
        rows, columns = min(rows, TILE[0] * stride), min(columns, TILE[1] * stride)
    fixed, per_frame = _VAE_DECODE[checkpoint.latent_channels]
    return math.ceil((fixed + per_frame * shape.num_frames) * rows * columns * item / 2)


def load_of(
    checkpoint: Checkpoint, shape: ClipShape, *, keyframes: int = 0, item: int = 2, tiled: bool = False
) -> Load:
    """What a run of this clip with this many joint keyframes asks for."""
    tokens, held = token_count(checkpoint, shape, keyframes), checkpoint.image_route == "first-latent"
    activations = activation_bytes(checkpoint.width, tokens, item=item, per_token_time=held)
    return Load(activations, vae_bytes(checkpoint, shape, item=item, tiled=tiled))


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Memory of this machine, in bytes.

    Attributes:
        device: `cuda` or `cpu`.
        gpu_name: name of the GPU; empty without one.
        gpu_total, gpu_free: its memory; 0 without one.
        capability: its compute capability; (0, 0) without one.
        host_total, host_free: main memory; free is what can be had without swapping, inside a container's limit.
        disk_free: room where checkpoints are kept.
    """

    device: str
    gpu_name: str = ""
    gpu_total: int = 0
    gpu_free: int = 0
    capability: tuple[int, int] = (0, 0)
    host_total: int
    host_free: int
    disk_free: int


def measure_resources(folder: Path | None = None) -> Resources:
    """Look at this machine, and at the disk of the folder where checkpoints are kept."""
    host = psutil.virtual_memory()
    limit, used = _container()
    found: dict[str, Any] = {
        "host_total": min(host.total, limit),
        "host_free": min(host.available, limit - used),
        "disk_free": shutil.disk_usage(existing_parent(folder or models_folder())).free,
    }
    device = "cpu"
    if _has_driver():  # else torch, which takes seconds to load, could not use a GPU either
        import torch

        if torch.cuda.is_available():
            device, (free, total) = "cuda", torch.cuda.mem_get_info()
            name, capability = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
            found |= {"gpu_name": name, "gpu_total": total, "gpu_free": free, "capability": capability}
    return Resources(device=device, **found)


def existing_parent(folder: Path) -> Path:
    """Find the nearest folder that exists, to ask its disk about."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def _has_driver() -> bool:
    """Whether the driver of an NVIDIA or AMD GPU is installed."""
    for name in ("nvcuda.dll", "libcuda.so.1"):
        with suppress(OSError):
            ctypes.CDLL(name)
            return True
    return Path("/dev/kfd").exists()


def _container() -> tuple[int, int]:
    """Bytes that the control group may use, which the host's own figures do not show, and has in use for good."""
    version_1 = not (_CGROUP / "memory.max").exists()
    folder = _CGROUP / "memory" if version_1 else _CGROUP
    most, now = ("limit_in_bytes", "usage_in_bytes") if version_1 else ("max", "current")
    limit = folder / f"memory.{most}"
    if not limit.exists() or not (text := limit.read_text().strip()).isdigit():
        return 1 << 62, 0
    used = int((folder / f"memory.{now}").read_text())
    counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    cached = counts.get("total_inactive_file", counts.get("inactive_file", 0))
    return int(text), max(0, used - int(cached))
