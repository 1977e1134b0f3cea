"""The part of a run that takes a model: load it where it fits, edit, and give each edit over to be written."""

import gc
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
    small = None if reference is None else resized(reference, inputs.frames.shape[1:3])
    outcomes, begun = list[EditOutcome](), inputs.begun
    with _caught(requests[0]) as said:
        editor = _Editor(requests[0], inputs, small, watch, announce, loaded)
        for i, request in enumerate(requests, start=1):
            result = editor.edit(request)
            if i == len(requests):
                editor.close()
            # The edit is laid on the reference in place: nothing from here on is tried again, and others need a copy.
            if reference is None or small is None:
                result = replace(result, frames=masked(result.frames, inputs))
            else:
                frames = reference.frames if i == len(requests) else reference.frames.copy()
                result = at_full_size(result, small, frames, inputs)
            begin("writing the results", watch)
            outcomes.append(write_outputs(request, inputs, result, said(), editor.ran, begun))
            begun = time.perf_counter()
            del result
    return outcomes


@dataclass
class _Editor:
    """A model at the fastest level that has room for the edit, and the clip encoded by it.

    Attributes:
        first: the request that says which model, and where and how it runs.
        small: what edits of a smaller copy are laid on.
        loaded: a model that is there already, and is used as it is.
        ran: a line that says where and how the model runs.
    """

    first: EditRequest
    inputs: Inputs
    small: Estimate | None
    watch: Watch
    announce: Announce
    loaded: Loaded | None
    ran: str = ""
    _model: VideoModel | None = None
    _prepared: PreparedEdit | None = None
    _seconds: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self._levels = [None] if self.loaded else placements_of(self.first, self.inputs)

    def edit(self, request: EditRequest) -> EditResult:
        """The edit of the smaller copy, by a model one level lower where memory runs out."""
        while True:
            placement, lower = self._levels[0], self._levels[1] if len(self._levels) > 1 else None
            try:
                result = self._edited(request, self._model or self._load(placement))
                result.seconds.update(self._seconds)
                self._seconds = {}
                return result
            except Exception as error:
                if placement is None or not is_out_of_memory(error):
                    raise
                if lower is None:
                    raise exhausted(placement, error) from error
            self._model = self._prepared = None
            free_memory()
            self._levels = self._levels[1:]
            self.announce(f"Out of memory at level {placement.level}; trying once more at level {lower.level}.")

    def close(self) -> None:
        """Let go of the model, to make room for what is written."""
        self._model = self._prepared = self.loaded = None
        gc.collect()  # the vendor's models hold on to themselves in circles

    def _load(self, placement: "Placement | None") -> VideoModel:
        begin("loading the model", self.watch)
        begun = time.perf_counter()
        self._model, self.ran = self.loaded or load_at(placement, self.first)
        self.announce(self.ran)
        self._seconds = {"load": time.perf_counter() - begun}
        return self._model

    def _edited(self, request: EditRequest, model: VideoModel) -> EditResult:
        window = model_defaults(request.model).window
        if len(self.inputs.frames) > window:
            return _edit_windows(request, self.inputs, model, window, self.small, self.watch)
        begin("encoding", self.watch)
        if self._prepared is None:
            frames, keyframes, mask = self.inputs.frames, self.inputs.keyframes, self.inputs.mask
            self._prepared = prepare(frames, keyframes, model, request.settings, mask, self.small)
        return _edit_prepared(request, self.inputs, varied(self._prepared, request.settings), self.watch)


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


def load_at(placement: "Placement | None", request: EditRequest) -> Loaded:
    """Load the model of a request at a placement."""
    from flowedit.wan.pace import set_pace

    settings = request.settings
    said = dict.fromkeys((settings.prompt, settings.negative_prompt, settings.source_prompt or settings.prompt))
    model = load_model(request.model, level=placement or "auto", prompts=tuple(said), loras=request.loras)
    pace = set_pace(model, request.pace, spread=request.spread)
    return model, f"{placement}; {pace}" if placement else pace


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
