"""One run from files to files: what `flowedit edit`, `flowedit demo` and the notebooks call."""

import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit.advice import advise
from flowedit.ahead import Ahead, EditRequest, read_job
from flowedit.edit import edit_steps, edit_video, finish, prepare
from flowedit.environment import peak_memory_mb, versions
from flowedit.errors import FlowEditError, SettingError, UnknownWordsWarning
from flowedit.guided import carry_change
from flowedit.job import EditJob
from flowedit.manifest import lora_record, manifest_of, sha256
from flowedit.masks import apply_mask, read_mask
from flowedit.media.clip import write_image, write_video
from flowedit.methods.branches import Step
from flowedit.model import ClipShape, VideoModel
from flowedit.models import check_loras, load_model
from flowedit.placing import run_placed
from flowedit.presets import model_defaults
from flowedit.report import comparison_frames, contact_sheet, render_report
from flowedit.result import EditResult
from flowedit.resuming import StateKeeper
from flowedit.runfolder import (
    COMPARISON,
    EDITED,
    MANIFEST,
    REPORT,
    SHEET,
    STOPPED,
    STOPPED_TRACE,
    TRACE,
    RunFolder,
)
from flowedit.sweep import Shared, varied
from flowedit.trace import Trace
from flowedit.windows import LongEdit

if TYPE_CHECKING:
    from flowedit.wan.placement import Placement

__all__ = ["EditOutcome", "EditRequest", "Watch", "run_edit", "sha256", "silent"]

Watch = Callable[[str, int, int, Step | None], None]
"""(what is being done, steps done, steps in all, the step just done): called before and after everything slow."""


@dataclass(frozen=True, kw_only=True)
class EditOutcome:
    """What a run left behind.

    Attributes:
        result: the edit itself.
        folder: where the files are.
        advice: what the run suggests doing differently.
        manifest: the contents of `run.json`.
    """

    result: EditResult
    folder: Path
    advice: list[str]
    manifest: dict[str, Any]


def silent(stage: str, done: int, total: int, step: Step | None) -> None:
    """A watcher that shows nothing."""


def run_edit(
    request: EditRequest,
    watch: Watch = silent,
    announce: Callable[[str], object] = str,
    shared: Shared | None = None,
    ahead: Ahead | None = None,
) -> EditOutcome:
    """Edit a video file and write the results.

    Args:
        request: what to do.
        watch: called as the work goes on.
        announce: called once with the line that says which frames and sizes were chosen.
        shared: what this run takes over from the ones before it in a sweep, and leaves for the next.
        ahead: what was read and begun of this request before; None lets this call do it.

    Returns:
        The edit and what was written.

    Raises:
        FlowEditError: any input that does not fit; nothing is left half-written.
        KeyboardInterrupt: passed on, after the trace so far was written. An earlier run in the folder stays whole until
            this one is.
    """
    begun = time.perf_counter() if ahead is None else ahead.begun
    loras = check_loras(request.model, request.loras, request.settings.method)
    job = read_job(request) if ahead is None else ahead.job
    mask = _Mask.read(request, job)
    for line in (job.summary(), *(lora.summary() for lora in loras)):
        announce(line)
    folder = RunFolder(request.output, overwrite=request.overwrite)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        records = [lora_record(lora) for lora in loras]
        task = _Task(request, job, folder, watch, mask, shared or Shared(), ahead, records)
        result = mask.limit(_placed(task, announce))
    watch("writing the results", 0, 0, None)
    advice = [*advise(result), *_warned(caught, request)]
    try:
        manifest = {**manifest_of(request, job, result, advice), "loras": records}
        with folder.replacing() as new:
            _write(new, request, job, result, mask)
            result.seconds["total"] = time.perf_counter() - begun
            manifest["seconds"] = {name: round(value, 3) for name, value in result.seconds.items()}
            manifest["peak_memory_mb"] = round(peak_memory_mb(), 1)
            _write_report(new, result, manifest, advice)
            new.write_json(MANIFEST, manifest)
    except (KeyboardInterrupt, FlowEditError) as stop:
        _keep_trace(folder, request, result.trace, stop)
        raise
    return EditOutcome(result=result, folder=folder.path, advice=advice, manifest=manifest)


def _warned(caught: Sequence[warnings.WarningMessage], request: EditRequest) -> list[str]:
    """What the run warned of, but for words that a model does not know and the styler, not the user, wrote."""
    styler = () if request.styling is None else (request.styling.prompt, request.styling.negative_prompt)
    return [
        str(warning.message)
        for warning in caught
        if issubclass(warning.category, UserWarning)
        and not (isinstance(warning.message, UnknownWordsWarning) and set(warning.message.prompts) <= set(styler))
    ]


@dataclass(frozen=True)
class _Mask:
    """The mask at the model's size and at the source's; None in both places where everything may change."""

    small: np.ndarray | None = None
    full: np.ndarray | None = None

    @classmethod
    def read(cls, request: EditRequest, job: EditJob) -> "_Mask":
        """Read it for the clip of a job."""
        if request.mask is None:
            return cls()
        sizes = job.frames.shape[1:3], job.clip.frames.shape[1:3]
        return cls(*(read_mask(request.mask, len(job.frames), size, start=request.start) for size in sizes))

    def limit(self, result: EditResult) -> EditResult:
        """The result with its source outside the mask."""
        if self.small is None:
            return result
        return replace(result, frames=apply_mask(result.source, result.frames, self.small))


@dataclass(frozen=True)
class _Task:
    """One run's request, and what was opened for it."""

    request: EditRequest
    job: EditJob
    folder: RunFolder
    watch: Watch
    mask: _Mask
    shared: Shared
    ahead: Ahead | None
    loras: list[dict[str, Any]]


def _placed(task: _Task, announce: Callable[[str], object]) -> EditResult:
    """Edit with the model that an earlier run of the sweep loaded, or with one loaded where it fits."""
    request, frames = task.request, task.job.frames
    if task.shared.model is not None:
        return _edit(task, task.shared.model)
    shape = ClipShape(num_frames=frames.shape[0], height=frames.shape[1], width=frames.shape[2])
    clip = (shape, len(task.job.keyframes), request.settings)
    return run_placed(request.model, request.fit, clip, announce, partial(_load_and_edit, task), request.loras)


def _load_and_edit(task: _Task, fit: "Placement | None") -> EditResult:
    from flowedit.wan.pace import set_pace

    begun = time.perf_counter()
    task.watch("loading the model", 0, 0, None)
    name, settings = task.request.model, task.request.settings
    said = dict.fromkeys((settings.prompt, settings.negative_prompt, settings.source_prompt or settings.prompt))
    added: dict[str, Any] = {"loras": task.request.loras} if task.request.loras else {}
    model = load_model(name, **added) if fit is None else load_model(name, level=fit, prompts=tuple(said), **added)
    set_pace(model, task.request.pace, spread=task.request.spread)
    loaded = time.perf_counter()
    result = _edit(task, model)
    # Only a model that got through the run is kept: one that ran out of memory must be let go.
    task.shared.model = model
    result.seconds["load"] = loaded - begun
    return result


def _edit(task: _Task, model: VideoModel) -> EditResult:
    request, job, watch, mask = task.request, task.job, task.watch, task.mask.small
    if request.settings.classical:
        watch(f"running {request.settings.method}", 0, 0, None)
        return edit_video(job.frames, job.keyframes, model, request.settings)
    watch("encoding", 0, 0, None)
    window = model_defaults(request.model).window
    if len(job.frames) > window:
        if request.resume:
            raise SettingError(f"--resume goes on with clips of up to {window} frames; this one has {len(job.frames)}.")
        return _edit_windows(task, model, window)
    if task.shared.prepared is None:
        estimate = None if task.ahead is None or task.ahead.estimate is None else task.ahead.estimate()
        task.shared.prepared = prepare(job.frames, job.keyframes, model, request.settings, mask, estimate)
    prepared = varied(task.shared.prepared, request.settings)
    keeper = StateKeeper(task.folder.path, prepared, *([] if mask is None else [mask]), *task.loras)
    resumed = keeper.load() if request.resume else None
    total = len(prepared.problem.sigmas) - 1
    latents = prepared.reference.latents
    try:
        for step in edit_steps(prepared, resumed):
            latents = step.latents
            keeper.keep(step)
            watch("denoising", step.trace.step + 1, total, step)
        watch("decoding", total, total, None)
        return finish(prepared, latents)
    except (KeyboardInterrupt, FlowEditError) as stop:
        _keep_trace(task.folder, request, prepared.trace, stop)
        raise


def _edit_windows(task: _Task, model: VideoModel, window: int) -> EditResult:
    job, settings = task.job, task.request.settings
    edit = LongEdit(
        frames=job.frames,
        keyframes=job.keyframes,
        model=model,
        settings=settings,
        window=window,
        mask=task.mask.small,
    )
    try:
        for done, total, step in edit.steps():
            task.watch("denoising", done, total, step)
        return edit.finish()
    except (KeyboardInterrupt, FlowEditError) as stop:
        if edit.trace is not None:
            _keep_trace(task.folder, task.request, edit.trace, stop)
        raise


def _keep_trace(folder: RunFolder, request: EditRequest, trace: Trace, stop: BaseException) -> None:
    """A run that stops early keeps what it measured, and says beside it why it stopped; an earlier one stays."""
    folder.write_text(STOPPED_TRACE if folder.holds_run else TRACE, trace.to_csv())
    reason = "interrupted" if isinstance(stop, KeyboardInterrupt) else str(stop)
    state = {"status": "stopped", "reason": reason, "steps_done": len(trace.steps)}
    folder.write_json(STOPPED, {**state, "settings": request.settings.to_dict(), "versions": versions()})


def _full_frames(request: EditRequest, job: EditJob, result: EditResult, mask: _Mask) -> np.ndarray:
    """The edited frames as they are written: at the source's own size where the detail is guided by it."""
    if request.settings.detail != "guided":
        return result.frames
    frames = carry_change(job.clip.frames, result.frames)
    return frames if mask.full is None else apply_mask(job.clip.frames, frames, mask.full)


def _write(folder: RunFolder, request: EditRequest, job: EditJob, result: EditResult, mask: _Mask) -> None:
    """The trace, the videos and the sheet; report and manifest come last."""
    folder.write_text(TRACE, result.trace.to_csv())
    sound = {"audio_from": job.clip.path, "audio_start_s": job.clip.start_s} if job.clip.has_audio else {}
    shown = result.source, result.frames, result.keyframes

    def edited() -> None:
        frames = _full_frames(request, job, result, mask)
        write_video(folder.file(EDITED), frames, job.fps, lossless=request.lossless, **sound)

    def beside() -> None:
        write_video(folder.file(COMPARISON), comparison_frames(*shown), job.fps)

    def sheet() -> None:
        write_image(folder.file(SHEET), contact_sheet(*shown))

    with ThreadPoolExecutor() as pool:  # encoders let go of Python's lock
        for file in [pool.submit(write) for write in (edited, beside, sheet)]:
            file.result()


def _write_report(folder: RunFolder, result: EditResult, manifest: dict[str, Any], advice: list[str]) -> None:
    page = render_report(
        manifest,
        result.trace,
        videos={"source and edited": folder.file(COMPARISON)},
        sheet=folder.file(SHEET),
        advice=advice,
    )
    folder.write_text(REPORT, page)
