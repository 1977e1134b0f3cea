"""Runs that need no model, and what lays a model's edit of a smaller copy on the source's own size; no torch."""

import time
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import UInt8

from flowedit.edit.masks import apply_mask
from flowedit.edit.result import EditResult
from flowedit.environment import return_memory
from flowedit.estimate import CLASSICAL, Estimate, estimate
from flowedit.frames import slots_of
from flowedit.run.inputs import Inputs
from flowedit.run.outputs import EditOutcome, Watch, write_outputs
from flowedit.run.request import EditRequest
from flowedit.trace import Trace


def edit_without_model(requests: Sequence[EditRequest], inputs: Inputs, watch: Watch) -> list[EditOutcome]:
    """Edit at the source's own size by a classical method, once for all requests, and write it for each."""
    settings, clock = requests[0].settings, time.perf_counter()
    begin(f"running {settings.method}", watch)
    images = {keyframe.index: keyframe.image for keyframe in inputs.full_keyframes}
    slots = slots_of(list(images), len(inputs.frames))
    edited = CLASSICAL[settings.method](inputs.clip.frames, images, inputs.canvas(inputs.shown))
    result = EditResult(
        frames=masked(edited, inputs),
        source=inputs.shown,
        keyframes=inputs.full_keyframes,
        settings=settings,
        model="none",
        trace=Trace(keyframes=tuple(images), slots=slots, method=settings.method),
        seconds={"steps": time.perf_counter() - clock},
    )
    begin("writing the results", watch)
    return [
        write_outputs(each, inputs, replace(result, settings=each.settings), [], "no model", inputs.begun)
        for each in requests
    ]


def reference_of(inputs: Inputs) -> Estimate:
    """What an edit is laid on at the source's own size: the estimate; the source where there are no keyframes."""
    images = {keyframe.index: keyframe.image for keyframe in inputs.full_keyframes}
    frames, canvas = inputs.clip.frames, inputs.canvas(inputs.shown, inputs.frames)
    if images:
        return estimate(frames, images, canvas)
    return Estimate(frames.copy() if canvas is None else canvas, np.ones(inputs.frames.shape[:3], np.float32))


def at_full_size(
    result: EditResult, small: Estimate, reference: UInt8[np.ndarray, "F H W 3"], inputs: Inputs
) -> EditResult:
    """An edit of a smaller copy as one of the clip: on the reference, in place, what the edit changed of its copy."""
    frames = masked(laid_on(reference, small.frames, result.frames), inputs)
    return replace(result, frames=frames, source=inputs.shown, keyframes=inputs.full_keyframes)


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
            laid = cv2.resize(change, width_height, interpolation=how)
            laid += frame
            frame[:] = np.rint(laid, out=laid).clip(0, 255, out=laid)
    return reference


def masked(frames: UInt8[np.ndarray, "F H W 3"], inputs: Inputs) -> UInt8[np.ndarray, "F H W 3"]:
    """The source, to the last bit, where the mask keeps it."""
    return frames if inputs.clip_mask is None else apply_mask(inputs.clip.frames, frames, inputs.clip_mask)


def begin(stage: str, watch: Watch) -> None:
    """Give freed memory back to the system, then say what comes now."""
    return_memory()
    watch(stage, 0, 0, None)
