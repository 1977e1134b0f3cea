"""Sections of the GPU benchmark that go through the whole model: the VAE, and edits."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_parts import peak_gb, relative_error, timed
from benchmarks.gpu_record import DEFAULT_LAZY, KEYFRAMES, WIDE, GpuPlan, Row, key_slots, place
from benchmarks.synthetic import Sightless, Wordless, synthetic_pipeline, synthetic_vae
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.frames import slot_count
from flowedit.keyframes import Keyframe
from flowedit.model import ClipShape
from flowedit.presets import preset_settings
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import Checkpoint
from flowedit.wan.fast import FastOptions, use_fast_blocks
from flowedit.wan.pace import set_pace
from flowedit.wan.vae import use_channels_last, use_fast_vae

FEW = 8
WHOLE = ", channels last, norms in one pass"


def edits() -> dict[str, EditSettings]:
    """The edits that are timed at the pace fast, and predicted."""
    return {f"edit of {FEW} steps, unguided": EditSettings(conditioning="tokens", steps=FEW)}


def edit_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """Whole edits with joint keyframes through `flowedit.edit.steps`, on the fast path; then the default preset's."""
    device, dtype = place(plan)
    pipe: Any = synthetic_pipeline(checkpoint, device=device, dtype=dtype, small=plan.rehearse)
    use_fast_blocks(pipe.dit, FastOptions(backend="aot_eager" if plan.rehearse else "inductor"))
    if not plan.rehearse:
        use_fast_vae(pipe.vae)
    pipe.image_encoder = Sightless()
    model = Wordless(pipe, name=checkpoint.name)
    for name, settings in edits().items():
        yield from _edit(plan, model, name, settings)
    if checkpoint.width.dim > WIDE:
        return
    set_pace(model, "lazy")
    settings = preset_settings(checkpoint.name)
    settings = settings.with_(steps=2) if plan.rehearse else settings
    yield from _edit(plan, model, DEFAULT_LAZY, settings)


def _edit(plan: GpuPlan, model: Wordless, name: str, settings: EditSettings) -> Iterator[Row]:
    """One edit, a row for each of its stages."""
    seconds: dict[str, float] = {}
    # What is compiled, and which kernels suit, is settled by one step before the clock starts.
    next(edit_steps(prepare(*drawn_clip(plan.shape), model, settings)))
    peak = peak_gb(lambda: seconds.update(_run(model, plan.shape, settings)), place(plan)[0])
    for stage, taken in seconds.items():
        yield Row(
            section="edit", checkpoint=model.name, name=f"{name}: {stage}", keyframes=KEYFRAMES, seconds=taken,
            peak_gb=peak,
        )  # fmt: skip


def _run(model: Wordless, shape: ClipShape, settings: EditSettings) -> Mapping[str, float]:
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


def vae_rows(plan: GpuPlan, checkpoint: Checkpoint) -> Iterator[Row]:
    """Encode and decode the clip; once for all checkpoints that share the VAE."""
    first = next(each for each in plan.checkpoints if each.latent_channels == checkpoint.latent_channels)
    if checkpoint != first:
        return
    device, dtype = place(plan)
    vae: Any = synthetic_vae(checkpoint, device=device, dtype=dtype, small=plan.rehearse)
    shape = plan.shape
    clip = torch.rand(1, 3, shape.num_frames, shape.height, shape.width).to(device=device, dtype=dtype) * 2 - 1
    with torch.inference_mode():
        latents = vae.encode(clip, device=device).to(device=device, dtype=dtype)
    expected: dict[str, Any] = {}
    for kind in ("", ", channels last", WHOLE, f"{WHOLE}, in tiles"):
        if "channels last" in kind:
            use_channels_last(vae)
        if WHOLE in kind:
            use_fast_vae(vae, backend="aot_eager" if plan.rehearse else "inductor")
        for name, work in _vae_works(vae, clip, latents, tiled="tiles" in kind).items():
            made: list[Any] = []
            peak = peak_gb(lambda made=made, work=work: made.append(work()), device)
            error = relative_error(made[0], expected[name]) if name in expected else None
            expected.setdefault(name, made[0])
            seconds = timed(work, device, repeats=3, warm=0)
            yield Row(
                section="vae", checkpoint=checkpoint.name, name=f"VAE {name}{kind}", seconds=seconds, peak_gb=peak,
                error=error,
            )  # fmt: skip


def _vae_works(vae: Any, clip: torch.Tensor, latents: torch.Tensor, *, tiled: bool) -> dict[str, Callable[[], Any]]:  # noqa: ANN401
    """Encoding and decoding a clip."""

    def encode() -> Any:  # noqa: ANN401
        with torch.inference_mode():
            return vae.encode(clip, device=clip.device, tiled=tiled)

    def decode() -> Any:  # noqa: ANN401
        with torch.inference_mode():
            return vae.decode(latents, device=clip.device, tiled=tiled)

    return {"encode": encode, "decode": decode}
