"""Sections of the GPU benchmark that go through the whole model: the VAE, an edit, and an edit on a small card."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flowedit.bench.gpu import GB, KEYFRAMES, GpuPlan, Row, key_slots, place
from flowedit.bench.gpu_parts import peak_gb, timed
from flowedit.config import EditSettings
from flowedit.editor import edit_steps, finish, prepare
from flowedit.frames import slot_count
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape, Condition
from flowedit.wan.checkpoints import Checkpoint
from flowedit.wan.fast import FastOptions, use_fast_blocks
from flowedit.wan.fit import fit_for
from flowedit.wan.resources import Resources
from flowedit.wan.synthetic import Wordless, synthetic_pipeline, synthetic_vae
from flowedit.wan.vram import manage

STEPS = 8
_WIDE = 4000
"""Width above which a guided edit takes more time than it tells."""
_CARDS = ((1536, 8e9), (5120, 24e9))
"""Widest transformer, and the card in bytes that it is to run on with the rest of its weights on the host."""


def vae_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """Encode and decode the clip, whole and in tiles; once for all checkpoints that share the VAE."""
    first = next(each for each in plan.checkpoints if each.latent_channels == checkpoint.latent_channels)
    if checkpoint != first:
        return
    device, dtype = place(plan)
    vae: Any = synthetic_vae(checkpoint, device=device, dtype=dtype, small=plan.rehearse)
    shape = plan.shape
    clip = torch.rand(1, 3, shape.num_frames, shape.height, shape.width).to(device=device, dtype=dtype) * 2 - 1
    for tuned, tiled in ((False, False), (True, False), (False, True)):
        torch.backends.cudnn.benchmark = tuned
        kind = " in tiles" if tiled else ", cuDNN choosing by trial" if tuned else ""
        works = _vae_works(vae, clip, device, tiled=tiled)
        for name, work in works.items():
            seconds = timed(work, device, repeats=2)
            peak = peak_gb(work, device)
            yield Row(
                section="vae", checkpoint=checkpoint.name, name=f"VAE {name}{kind}", seconds=seconds, peak_gb=peak
            )
    torch.backends.cudnn.benchmark = False


def _vae_works(vae: Any, clip: torch.Tensor, device: str, *, tiled: bool) -> dict[str, Callable[[], Any]]:  # noqa: ANN401
    """Encoding and decoding a clip."""
    with torch.inference_mode():
        latents = vae.encode(clip, device=device, tiled=tiled).to(device=device, dtype=clip.dtype)

    def encode() -> Any:  # noqa: ANN401
        with torch.inference_mode():
            return vae.encode(clip, device=device, tiled=tiled)

    def decode() -> Any:  # noqa: ANN401
        with torch.inference_mode():
            return vae.decode(latents, device=device, tiled=tiled)

    return {"encode": encode, "decode": decode}


def edit_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """A whole edit with joint keyframes through `flowedit.editor`, on the fast path, as a few-step model would run."""
    device, dtype = place(plan)
    pipe = synthetic_pipeline(checkpoint, device=device, dtype=dtype, small=plan.rehearse)
    use_fast_blocks(pipe.dit, FastOptions(backend="aot_eager" if plan.rehearse else "inductor"))
    model = Wordless(pipe, name=checkpoint.name)
    frames, keyframes = drawn_clip(plan.shape)
    next(
        edit_steps(prepare(frames, keyframes, model, EditSettings(conditioning="tokens", steps=STEPS, detail="plain")))
    )
    for guidance in (1.0,) if checkpoint.width.dim > _WIDE else (1.0, 5.0):
        settings = EditSettings(conditioning="tokens", steps=STEPS, guidance=guidance, detail="plain")
        seconds: dict[str, float] = {}
        peak = peak_gb(lambda made=seconds, given=settings: made.update(_run(model, plan.shape, given)), device)
        guided = "guided" if guidance != 1 else "unguided"
        for stage, taken in seconds.items():
            yield Row(
                section="edit", checkpoint=checkpoint.name, name=f"edit of {STEPS} steps, {guided}: {stage}",
                keyframes=KEYFRAMES, seconds=taken, peak_gb=peak,
            )  # fmt: skip


def _run(model: Wordless, shape: ClipShape, settings: EditSettings) -> dict[str, float]:
    """Edit a drawn clip; wall-clock seconds of each stage and of all."""
    begun = time.perf_counter()
    frames, keyframes = drawn_clip(shape)
    prepared = prepare(frames, keyframes, model, settings)
    last = deque(edit_steps(prepared), maxlen=1).pop()
    result = finish(prepared, last.latents)
    return {**result.seconds, "total": time.perf_counter() - begun}


def drawn_clip(shape: ClipShape) -> tuple[np.ndarray, list[Keyframe]]:
    """A clip of moving bands, and recoloured frames of it as keyframes."""
    rows, columns = np.mgrid[: shape.height, : shape.width].astype(np.float32)
    frames = [
        np.stack(
            [128 + 100 * np.sin((rows * a + columns * b + 4 * number) / 40) for a, b in ((1, 2), (2, 1), (1, 1))], 2
        )
        for number in range(shape.num_frames)
    ]
    clip = np.stack(frames).astype(np.uint8)
    indices = [4 * slot for slot in key_slots(slot_count(shape.num_frames))]
    return clip, [Keyframe(index, 255 - clip[index]) for index in indices]


@dataclass(frozen=True)
class _Card:
    """A smaller card to keep to: its bytes."""

    bytes: int

    def resources(self) -> Resources:
        """What a machine with this card would say of itself."""
        half = 1 << 37
        return Resources(
            device="cuda", gpu_name="a smaller card", gpu_total=self.bytes, gpu_free=self.bytes, capability=(9, 0),
            host_total=half, host_free=half, disk_free=half, cpu="", cores=1,
        )  # fmt: skip


def offload_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """One joint forward and a tiled decode within a smaller card's memory, the weights coming from the host."""
    device, dtype = place(plan)
    card = _Card(int(next(size for widest, size in _CARDS if checkpoint.width.dim <= widest)))
    fit = fit_for(checkpoint, plan.shape, card.resources(), "offload", keyframes=KEYFRAMES)
    pipe = synthetic_pipeline(checkpoint, device=device, dtype=dtype, small=plan.rehearse)
    if not plan.rehearse:
        manage(pipe, fit.vram_limit)
        torch.cuda.empty_cache()
    model = Wordless(pipe, name=checkpoint.name, tiling={})
    slots = slot_count(plan.shape.num_frames)
    keys = key_slots(slots)
    condition = Condition(shape=plan.shape, key_slots=tuple(keys))
    note = f"within a card of {card.bytes / GB:.0f} GB; predicted need {fit.needs.gpu / GB:.1f} GB"
    with torch.inference_mode():
        begun = time.perf_counter()
        prepared: list[Any] = []
        peak = peak_gb(lambda: prepared.append(model.prepare(condition)), device)
        yield _offload_row(checkpoint, "prepare", time.perf_counter() - begun, peak, note)
        size = (1, checkpoint.latent_channels, slots + KEYFRAMES, *_grid(checkpoint, plan.shape))
        latents = torch.randn(size).to(device)

        def forward() -> Any:  # noqa: ANN401
            return model.velocity(latents, 0.7, prepared[0], [*range(slots), *keys])

        seconds = timed(forward, device, repeats=2)
        yield _offload_row(checkpoint, "forward", seconds, peak_gb(forward, device), note)

        def decode() -> Any:  # noqa: ANN401
            return model.decode(latents[:, :, :slots])

        yield _offload_row(
            checkpoint, "tiled decode", timed(decode, device, repeats=1, warm=0), peak_gb(decode, device), note
        )


def _offload_row(checkpoint: Checkpoint, name: str, seconds: float, peak: float | None, note: str) -> Row:
    return Row(
        section="offload", checkpoint=checkpoint.name, name=f"offloaded: {name}", keyframes=KEYFRAMES,
        seconds=seconds, peak_gb=peak, note=note,
    )  # fmt: skip


def _grid(checkpoint: Checkpoint, shape: ClipShape) -> tuple[int, int]:
    stride = checkpoint.size_multiple // 2
    return shape.height // stride, shape.width // stride
