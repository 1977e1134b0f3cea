"""`edit_video`: from a clip and styled keyframes to an edited clip.

`prepare` encodes everything once, `edit_steps` is a generator of steps (progress, preview, cancel and early stop are a
plain `for` around it), `finish` decodes, and `edit_video` is the three in one call.
"""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch

from flowedit.edit.preparation import PreparedEdit, clip_shape, prepare
from flowedit.edit.result import EditResult
from flowedit.edit.resuming import ResumeState
from flowedit.errors import ModelError, NumericalError
from flowedit.estimate import CLASSICAL
from flowedit.frames import Video
from flowedit.keyframes import Keyframe, check_keyframes
from flowedit.methods import METHODS
from flowedit.methods.branches import EditProblem, State, Step, rms_per_slot
from flowedit.methods.detail import DETAILS
from flowedit.model import Latent, VideoModel, to_frames
from flowedit.settings import EditSettings
from flowedit.trace import StepTrace, Trace

__all__ = ["PreparedEdit", "edit_steps", "edit_video", "finish", "prepare"]


def edit_video(
    frames: Video, keyframes: Sequence[Keyframe], model: VideoModel | None = None, settings: EditSettings | None = None
) -> EditResult:
    """Carry the style of a few keyframes to every frame of a clip.

    Args:
        frames: the clip, uint8 (F, H, W, 3); F is `4n + 1`, H and W multiples of the model's `size_multiple`.
        keyframes: styled pictures at pixel frames of the clip, in order, at most one per latent slot.
        model: the video model; a classical method needs none.
        settings: how to edit; the defaults when None.

    Raises:
        VideoShapeError, KeyframeError, SettingError, ModelError: the inputs do not fit each other.
        NumericalError: a step produced values that are not finite.
    """
    settings = settings or EditSettings()
    if settings.classical:
        return _classical_edit(frames, keyframes, model, settings)
    if model is None:
        raise ModelError(f"Method {settings.method} needs a model: load one, or use {', '.join(CLASSICAL)}.")
    prepared = prepare(frames, keyframes, model, settings)
    return finish(prepared, deque(edit_steps(prepared), maxlen=1).pop().latents)


def edit_steps(prepared: PreparedEdit, resumed: ResumeState | None = None) -> Iterator[Step]:
    """Run the method one step at a time; the trace of `prepared` grows with every step.

    A prepared edit can be run again: each run begins a trace of its own and gives the same steps. It goes on with a
    stopped run of the same edit, `resumed`.

    Raises:
        NumericalError: a step produced values that are not finite; the trace keeps the steps before it.
    """
    begun = clock = time.perf_counter()
    done = list(resumed.traces) if resumed else []
    prepared.trace = replace(prepared.trace, steps=done)
    problem = replace(prepared.problem, sigmas=prepared.problem.sigmas[len(done) :])
    states = METHODS[prepared.settings.method](problem, resumed.carried if resumed else None)
    for sigma, sigma_next in pairwise(problem.sigmas):
        with torch.inference_mode():
            state = next(states)
        if not all(torch.isfinite(latents).all() for latents in state.carried):
            raise NumericalError(
                f"Step {len(done)} (sigma {sigma:.3f}) gave values that are not finite; "
                "try a smaller alpha, guidance nearer 1, or dtype float32."
            )
        now = time.perf_counter()
        trace = StepTrace(
            step=len(done), sigma=sigma, sigma_next=sigma_next, seconds=now - clock, **_readings(problem, state)
        )
        done.append(trace)
        prepared.seconds["steps"] = now - begun
        yield Step(**vars(state), trace=trace)
        clock = time.perf_counter()


@torch.inference_mode()
def finish(prepared: PreparedEdit, latents: Latent) -> EditResult:
    """Decode the edited latents and gather what the run recorded."""
    clock = time.perf_counter()
    decode = DETAILS[prepared.settings.detail]
    pixels = prepared.reference.lay(decode(prepared.model, latents, prepared.reference))
    prepared.seconds["decode"] = time.perf_counter() - clock
    return EditResult(
        frames=to_frames(pixels),
        source=prepared.frames,
        keyframes=prepared.keyframes,
        settings=prepared.settings,
        model=prepared.model.name,
        trace=prepared.trace,
        seconds=dict(prepared.seconds),
    )


def _readings(problem: EditProblem, state: State) -> dict[str, Any]:
    """What a step read at the keyframes; a method without a correction reads nothing."""
    if state.gap is None:
        return {"kappa": 0.0, "r_k_norm": (), "v_diff_norm": (), "z_diff_norm": (), "gap_norm": ()}
    kappa, before, left = state.gap
    style = rms_per_slot(problem.source[:, :, list(problem.slots)] - problem.keys)
    # NaN where the keyframe's latent is the source's own and there is nothing to compare with.
    gaps = (gap / whole if whole > 0 else math.nan for gap, whole in zip(rms_per_slot(left), style, strict=True))
    return {
        "kappa": kappa,
        "r_k_norm": rms_per_slot(before.r),
        "v_diff_norm": rms_per_slot(before.v_diff),
        "z_diff_norm": rms_per_slot(before.z_diff),
        "gap_norm": tuple(gaps),
    }


def _classical_edit(
    frames: Video, keyframes: Sequence[Keyframe], model: VideoModel | None, settings: EditSettings
) -> EditResult:
    """A method that needs no model, through the same call."""
    clock, shape = time.perf_counter(), clip_shape(frames)
    images, slots = {keyframe.index: keyframe.image for keyframe in keyframes}, check_keyframes(keyframes, shape)
    return EditResult(
        frames=CLASSICAL[settings.method](frames, images),
        source=frames,
        keyframes=tuple(keyframes),
        settings=settings,
        model="none" if model is None else model.name,
        trace=Trace(keyframes=tuple(images), slots=slots, method=settings.method),
        seconds={"steps": time.perf_counter() - clock},
    )
