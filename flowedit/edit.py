"""`edit_video`: from a clip and styled keyframes to an edited clip.

`prepare` encodes everything once, `edit_steps` is a generator of steps (progress, preview, cancel and early stop are a
plain `for` around it), `finish` decodes, and `edit_video` is the three in one call.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from flowedit.detail import DETAILS, lay_repair
from flowedit.encoding import to_frames, to_pixels
from flowedit.errors import NumericalError
from flowedit.keyframes import Keyframe, check_keyframes
from flowedit.methods import CLASSICAL, METHODS, Step, check_method
from flowedit.methods.branches import Begun
from flowedit.model import Latent, VideoModel
from flowedit.preparation import Given, PreparedEdit, Video, clip_shape, prepare, sigma_grid
from flowedit.result import EditResult
from flowedit.settings import EditSettings
from flowedit.trace import Trace

__all__ = ["Given", "PreparedEdit", "clip_shape", "edit_steps", "edit_video", "finish", "prepare", "sigma_grid"]


def edit_video(
    frames: Video, keyframes: Sequence[Keyframe], model: VideoModel, settings: EditSettings | None = None
) -> EditResult:
    """Carry the style of a few keyframes to every frame of a clip.

    Args:
        frames: the clip, uint8 (F, H, W, 3); F is `4n + 1`, H and W multiples of the model's `size_multiple`.
        keyframes: styled pictures at pixel frames of the clip, in order, at most one per latent slot.
        model: the video model.
        settings: how to edit; the defaults when None.

    Returns:
        The edited clip with its trace, settings and timings.

    Raises:
        VideoShapeError, KeyframeError, SettingError, ModelError: the inputs do not fit each other.
        NumericalError: a step produced values that are not finite.
    """
    settings = settings or EditSettings()
    check_method(settings.method)
    if settings.method in CLASSICAL:
        return _classical_edit(frames, keyframes, model, settings)
    prepared = prepare(frames, keyframes, model, settings)
    last = deque(edit_steps(prepared), maxlen=1).pop()
    return finish(prepared, last.latents)


def edit_steps(prepared: PreparedEdit, begun: Begun | None = None) -> Iterator[Step]:
    """Run the method one step at a time; the trace of `prepared` grows with every step.

    A prepared edit can be run again: each run begins a trace of its own and gives the same steps.

    Args:
        prepared: from `prepare`.
        begun: a stopped run of the same edit, to go on with; None begins at the beginning.

    Raises:
        NumericalError: a step produced values that are not finite; the trace keeps the steps before it.
    """
    clock = time.perf_counter()
    prepared.trace = replace(prepared.trace, steps=list(begun.steps) if begun else [])
    method = METHODS[prepared.settings.method]
    steps = method(prepared.problem) if begun is None else method(prepared.problem, begun)
    while True:
        with torch.inference_mode():
            step = next(steps, None)
        if step is None:
            return
        if not (torch.isfinite(step.x_main).all() and torch.isfinite(step.x_key).all()):
            raise NumericalError(
                f"Step {step.trace.step} (sigma {step.trace.sigma:.3f}) gave values that are not finite; "
                "try a smaller alpha, guidance nearer 1, or dtype float32."
            )
        prepared.trace.steps.append(step.trace)
        prepared.seconds["steps"] = time.perf_counter() - clock
        yield step


@torch.inference_mode()
def finish(prepared: PreparedEdit, latents: Latent) -> EditResult:
    """Decode the edited latents and gather what the run recorded."""
    begun = time.perf_counter()
    decode = DETAILS[prepared.settings.detail]
    reference = to_pixels(prepared.reference, latents.device)
    pixels = decode(prepared.model, latents, reference, prepared.reference_latents)
    if prepared.share is not None:
        pixels = lay_repair(reference, pixels, prepared.share, prepared.agreement, prepared.given.mask)
    prepared.seconds["decode"] = time.perf_counter() - begun
    return EditResult(
        frames=to_frames(pixels),
        source=prepared.frames,
        keyframes=prepared.keyframes,
        settings=prepared.settings,
        model=prepared.model.name,
        trace=prepared.trace,
        seconds=dict(prepared.seconds),
    )


def _classical_edit(
    frames: Video, keyframes: Sequence[Keyframe], model: VideoModel, settings: EditSettings
) -> EditResult:
    """A method that needs no model, through the same call."""
    begun = time.perf_counter()
    slots = check_keyframes(keyframes, clip_shape(frames, model))
    images: Mapping[int, np.ndarray] = {keyframe.index: keyframe.image for keyframe in keyframes}
    edited = CLASSICAL[settings.method](frames, images)
    return EditResult(
        frames=edited,
        source=frames,
        keyframes=tuple(keyframes),
        settings=settings,
        model=model.name,
        trace=Trace(keyframes=tuple(images), slots=slots, method=settings.method),
        seconds={"steps": time.perf_counter() - begun},
    )
