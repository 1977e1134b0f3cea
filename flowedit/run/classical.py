"""Runs that need no model, and what lays a model's edit of a smaller copy on the source's own size; no torch."""

import time
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import UInt8

from flowedit.edit.masks import apply_mask
from flowedit.edit.result import EditResult
from flowedit.estimate import CLASSICAL, Estimate, estimate
from flowedit.frames import slots_of
from flowedit.media.images import resize_video
from flowedit.run.advice import advise
from flowedit.run.inputs import Inputs, read_inputs
from flowedit.run.outputs import Announce, EditOutcome, Watch, each_claimed, write_outputs
from flowedit.run.request import EditRequest
from flowedit.settings import EditSettings
from flowedit.trace import Trace


def run_classical(
    request: EditRequest,
    runs: Sequence[tuple[str, EditSettings]],
    watch: Watch,
    announce: Announce,
    inputs: Inputs | None = None,
) -> list[EditOutcome]:
    """`flowedit.run.job.run_edits` for methods that need no model: at the source's own size, without torch."""
    inputs = inputs or read_inputs(request)
    for line in inputs.summary():
        announce(line)
    with each_claimed(request, runs) as requests:
        return [_run(each, inputs, watch) for each in requests]


def _run(request: EditRequest, inputs: Inputs, watch: Watch) -> EditOutcome:
    settings, clock = request.settings, time.perf_counter()
    watch(f"running {settings.method}", 0, 0, None)
    images = {keyframe.index: keyframe.image for keyframe in inputs.full_keyframes}
    slots = slots_of(list(images), len(inputs.frames))
    result = EditResult(
        frames=CLASSICAL[settings.method](inputs.clip.frames, images),
        source=inputs.clip.frames,
        keyframes=inputs.full_keyframes,
        settings=settings,
        model="none",
        trace=Trace(keyframes=tuple(images), slots=slots, method=settings.method),
        seconds={"steps": time.perf_counter() - clock},
    )
    result = masked(result, inputs)
    watch("writing the results", 0, 0, None)
    manifest = write_outputs(request, inputs, result, advise(result), "no model", inputs.begun)
    return EditOutcome(result=result, folder=request.output, manifest=manifest)


def reference_of(inputs: Inputs) -> Estimate:
    """What an edit is laid on at the source's own size: the estimate; the source where there are no keyframes."""
    images = {keyframe.index: keyframe.image for keyframe in inputs.full_keyframes}
    if images:
        return estimate(inputs.clip.frames, images)
    return Estimate(inputs.clip.frames.copy(), np.ones(inputs.frames.shape[:3], np.float32))


def at_full_size(result: EditResult, reference: Estimate, inputs: Inputs) -> EditResult:
    """An edit of the smaller copy as one of the clip: the reference, and on it what the edit changed of its copy."""
    frames = laid_on(reference.frames, resize_video(reference.frames, inputs.frames.shape[1:3]), result.frames)
    return masked(replace(result, frames=frames, source=inputs.clip.frames, keyframes=inputs.full_keyframes), inputs)


def laid_on(
    reference: UInt8[np.ndarray, "F H W 3"], small: UInt8[np.ndarray, "F h w 3"], edited: UInt8[np.ndarray, "F h w 3"]
) -> UInt8[np.ndarray, "F H W 3"]:
    """Add to each frame of the reference, in place, what an edit changed of its smaller copy, enlarged smoothly.

    Of a copy of the reference's own size, that is the edit itself.
    """
    if reference.shape == edited.shape:
        return edited
    width_height = reference.shape[2], reference.shape[1]
    how = cv2.INTER_LINEAR if reference[0].size >= small[0].size else cv2.INTER_AREA
    for frame, before, after in zip(reference, small, edited, strict=True):
        change = after.astype(np.float32) - before
        if change.any():
            frame[:] = np.rint(frame + cv2.resize(change, width_height, interpolation=how)).clip(0, 255)
    return reference


def masked(result: EditResult, inputs: Inputs) -> EditResult:
    """The source, to the last bit, where the mask keeps it."""
    if inputs.clip_mask is None:
        return result
    return replace(result, frames=apply_mask(result.source, result.frames, inputs.clip_mask))
