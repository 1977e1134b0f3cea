"""The part of a run that takes a model: load it where it fits, edit, and give each edit over to be written."""

import gc
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from flowedit.edit.preparation import clip_shape
from flowedit.edit.result import EditResult
from flowedit.edit.resuming import StateKeeper
from flowedit.edit.steps import PreparedEdit, edit_steps, finish, prepare
from flowedit.edit.sweep import varied
from flowedit.edit.windows import LongEdit
from flowedit.environment import return_memory
from flowedit.errors import SettingError, UnknownWordsWarning
from flowedit.estimate import Estimate
from flowedit.methods.refine import resized
from flowedit.model import VideoModel
from flowedit.models import load_model, placements
from flowedit.presets import model_defaults
from flowedit.run.classical import at_full_size, begin, masked
from flowedit.run.inputs import Inputs
from flowedit.run.outputs import Announce, EditOutcome, Watch, trace_kept, write_outputs
from flowedit.run.request import EditRequest
from flowedit.wan.placement import exhausted, free_memory, is_out_of_memory

if TYPE_CHECKING:
    from flowedit.wan.placement import Placement

Loaded = tuple[VideoModel, str]
"""A model, and a line that says where and how it runs here."""


def edit_with_model(
    requests: Sequence[EditRequest],
    inputs: Inputs,
    reference: Estimate | None,
    watch: Watch,
    announce: Announce,
    loaded: Loaded | None,
) -> list[EditOutcome]:
    """Edit and write requests that differ in gain and seed, laid on a reference at the clip's own size where given."""
    if loaded is not None:
        return _run_with(lambda: loaded, requests, inputs, reference, watch, announce)
    levels = placements_of(requests[0], inputs)
    for placement, lower in zip_longest(levels, levels[1:]):
        try:
            load = partial(load_at, placement, requests[0])
            return _run_with(load, requests, inputs, reference, watch, announce)
        except Exception as error:
            if placement is None or not is_out_of_memory(error):
                raise
            if lower is None:
                raise exhausted(placement, error) from error
        free_memory()
        announce(f"Out of memory at level {placement.level}; trying once more at level {lower.level}.")
    raise AssertionError("the last placement returns or raises")


def placements_of(request: EditRequest, inputs: Inputs) -> "list[Placement] | list[None]":
    """Where the model can be placed, the fastest first; the small one fits everywhere."""
    found = placements(
        request.model,
        shape=clip_shape(inputs.frames),
        level=request.placement,
        keyframes=len(inputs.keyframes),
        conditioning=request.settings.conditioning,
        loras=request.loras,
    )
    return found or [None]


def _run_with(
    load: Callable[[], Loaded],
    requests: Sequence[EditRequest],
    inputs: Inputs,
    reference: Estimate | None,
    watch: Watch,
    announce: Announce,
) -> list[EditOutcome]:
    """Load the model, then edit and write one request after the other."""
    outcomes: list[EditOutcome] = []
    begun = inputs.begun
    with _caught(requests[0]) as said:
        begin("loading the model", watch)
        loading = time.perf_counter()
        model, ran = load()
        announce(ran)
        seconds = {"load": time.perf_counter() - loading}
        edits = _edited(requests, inputs, model, reference, watch)
        del model, reference  # the last edit lets go of them
        for request, result in zip(requests, edits, strict=True):
            result.seconds.update(seconds)
            begin("writing the results", watch)
            outcomes.append(write_outputs(request, inputs, result, said(), ran, begun))
            begun, seconds = time.perf_counter(), {}
            del result
    return outcomes


def _edited(
    requests: Sequence[EditRequest], inputs: Inputs, model: VideoModel, reference: Estimate | None, watch: Watch
) -> Iterator[EditResult]:
    """The results one after the other; the model is let go of before the last one, to make room for what is written."""
    prepared = None
    for request in requests[:-1]:
        # An edit is laid on the reference in place, so that a long clip is in memory as seldom as can be.
        own = None if reference is None else replace(reference, frames=reference.frames.copy())
        result, prepared = _edit(request, inputs, model, prepared, own, watch)
        yield result
    result, prepared = _edit(requests[-1], inputs, model, prepared, reference, watch)
    del model, prepared, reference
    gc.collect()  # the vendor's models hold on to themselves in circles
    yield result


def load_at(placement: "Placement | None", request: EditRequest) -> Loaded:
    """Load the model of a request at a placement."""
    from flowedit.wan.pace import set_pace

    settings = request.settings
    said = dict.fromkeys((settings.prompt, settings.negative_prompt, settings.source_prompt or settings.prompt))
    model = load_model(request.model, level=placement or "auto", prompts=tuple(said), loras=request.loras)
    pace = set_pace(model, request.pace, spread=request.spread)
    return model, f"{placement}; {pace}" if placement else pace


def _edit(
    request: EditRequest,
    inputs: Inputs,
    model: VideoModel,
    prepared: PreparedEdit | None,
    reference: Estimate | None,
    watch: Watch,
) -> tuple[EditResult, PreparedEdit | None]:
    """The edit, inside its mask, and its clip encoded: None of a clip in several windows.

    `prepared` is the same clip, encoded under another gain or seed.
    """
    window = model_defaults(request.model).window
    small = None if reference is None else resized(reference, inputs.frames.shape[1:3])
    if len(inputs.frames) > window:
        result = _edit_windows(request, inputs, model, window, small, watch)
    else:
        begin("encoding", watch)
        if prepared is None:
            prepared = prepare(inputs.frames, inputs.keyframes, model, request.settings, inputs.mask, small)
        prepared = varied(prepared, request.settings)
        result = _edit_prepared(request, inputs, prepared, watch)
    if reference is None or small is None:
        return replace(result, frames=masked(result.frames, inputs)), prepared
    return at_full_size(result, small, reference, inputs), prepared


def _edit_prepared(request: EditRequest, inputs: Inputs, prepared: PreparedEdit, watch: Watch) -> EditResult:
    mask = [] if inputs.mask is None else [inputs.mask]
    keeper = StateKeeper(request.output, prepared, *mask, *inputs.lora_records)
    resumed = keeper.load() if request.resume else None
    total, latents = len(prepared.problem.sigmas) - 1, prepared.reference.latents
    with trace_kept(request, prepared):
        for step in edit_steps(prepared, resumed):
            latents = step.latents
            keeper.keep(step)
            watch("denoising", step.trace.step + 1, total, step)
        return_memory()
        watch("decoding", total, total, None)
        return finish(prepared, latents)


def _edit_windows(
    request: EditRequest, inputs: Inputs, model: VideoModel, window: int, small: Estimate | None, watch: Watch
) -> EditResult:
    if request.resume:
        raise SettingError(f"--resume goes on with clips of up to {window} frames; this one has {len(inputs.frames)}.")
    edit = LongEdit(
        frames=inputs.frames,
        keyframes=inputs.keyframes,
        model=model,
        settings=request.settings,
        window=window,
        mask=inputs.mask,
        estimate=small,
    )
    with trace_kept(request, edit):
        for done, total, step in edit.steps():
            watch("denoising", done, total, step)
        return edit.finish()


@contextmanager
def _caught(request: EditRequest) -> Generator[Callable[[], list[str]], None, None]:
    """Catch what a run warns of, for its advice; words that the styler wrote and the model lacks are not the user's."""
    styler = () if request.styling is None else (request.styling.prompt, request.styling.negative_prompt)

    def said() -> list[str]:
        wanted = (warning.message for warning in caught if issubclass(warning.category, UserWarning))
        return [
            str(message)
            for message in wanted
            if not (isinstance(message, UnknownWordsWarning) and set(message.prompts) <= set(styler))
        ]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
