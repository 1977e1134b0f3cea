"""One run from files to files: what `flowedit edit`, `flowedit demo` and the notebooks call."""

import hashlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit.advice import advise
from flowedit.config import EditSettings
from flowedit.editor import Given, PreparedEdit, edit_steps, edit_video, finish, prepare
from flowedit.environment import machine, peak_memory_mb, versions
from flowedit.errors import FlowEditError, SettingError
from flowedit.guided import carry_change
from flowedit.job import EditJob, load_job, video_window
from flowedit.masks import apply_mask, read_mask
from flowedit.measure import measure
from flowedit.methods import CLASSICAL, Step, check_method
from flowedit.model import ClipShape, VideoModel
from flowedit.models import checkpoint_files, fits_for, load_model
from flowedit.presets import model_defaults
from flowedit.report import comparison_frames, contact_sheet, render_report
from flowedit.result import EditResult
from flowedit.resuming import STATE, StateKeeper
from flowedit.runfolder import MANIFEST, RunFolder
from flowedit.video import write_image, write_video
from flowedit.windows import edit_long_video

if TYPE_CHECKING:
    from flowedit.wan.fit import Fit

Watch = Callable[[str, int, int, Step | None], None]
"""(what is being done, steps done, steps in all, the step just done): called before and after everything slow."""

EDITED, COMPARISON, SHEET, TRACE, REPORT = (
    "edited.mp4",
    "comparison.mp4",
    "contact-sheet.png",
    "trace.csv",
    "report.html",
)


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """A run as a user asks for it.

    Attributes:
        video: the source file.
        keyframes: clip index and image file of each keyframe.
        output: folder for the results.
        settings: the settings of the edit.
        model: name of the model.
        size: (height, width) to edit at; None lets the model choose.
        num_frames: frames to edit; None takes the longest legal window.
        start: first source frame.
        overwrite: whether an earlier run in the folder may be replaced.
        lossless: whether the edited file keeps every pixel exactly.
        mask: picture or video of where to edit, white = edit; None for everywhere.
        fit: where a checkpoint's weights rest between uses, as `flowedit.models.fits_for` takes it; `auto` for the
            fastest way that fits, and one level lower if memory runs out.
        resume: whether to go on from the state that a stopped run of the same edit left in the folder.
    """

    video: Path
    keyframes: Sequence[tuple[int, Path]]
    output: Path
    settings: EditSettings
    model: str = "tiny"
    size: tuple[int, int] | None = None
    num_frames: int | None = None
    start: int = 0
    overwrite: bool = False
    lossless: bool = False
    mask: Path | None = None
    fit: str = "auto"
    resume: bool = False


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


def run_edit(request: EditRequest, watch: Watch = silent, announce: Callable[[str], object] = str) -> EditOutcome:
    """Edit a video file and write the results.

    Args:
        request: what to do.
        watch: called as the work goes on.
        announce: called once with the line that says which frames and sizes were chosen.

    Returns:
        The edit and what was written.

    Raises:
        FlowEditError: any input that does not fit; nothing is left half-written.
        KeyboardInterrupt: passed on, after the trace so far was written.
    """
    begun = time.perf_counter()
    check_method(request.settings.method)
    job = _load(request)
    mask = _Mask.read(request, job)
    announce(job.summary())
    folder = RunFolder(request.output, overwrite=request.overwrite)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = mask.limit(_fitted(request, job, announce, lambda fit: _run(request, job, folder, watch, mask, fit)))
    watch("writing the results", 0, 0, None)
    advice = [*advise(result), *(str(w.message) for w in caught if issubclass(w.category, UserWarning))]
    manifest = _manifest(request, job, result, advice)
    _write(folder, request, job, result, mask)
    result.seconds["total"] = time.perf_counter() - begun
    manifest["seconds"] = {name: round(value, 3) for name, value in result.seconds.items()}
    manifest["peak_memory_mb"] = round(peak_memory_mb(), 1)
    _write_report(folder, result, manifest, advice)
    folder.write_json(MANIFEST, manifest)
    folder.file(STATE).unlink(missing_ok=True)
    return EditOutcome(result=result, folder=folder.path, advice=advice, manifest=manifest)


def _load(request: EditRequest) -> EditJob:
    defaults = model_defaults(request.model)
    frame_map = video_window(request.video, start=request.start, num_frames=request.num_frames, window=defaults.window)
    return load_job(
        request.video, request.keyframes, defaults, frame_map=frame_map, size=request.size, multiple=defaults.multiple
    )


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


def _fitted(
    request: EditRequest, job: EditJob, announce: Callable[[str], object], work: "Callable[[Fit | None], EditResult]"
) -> EditResult:
    """Do the work with the model placed as the request says; out of memory, once more one level lower."""
    num_frames, height, width = job.frames.shape[:3]
    joint = len(job.keyframes) if request.settings.conditioning in ("tokens", "both") else 0
    shape = ClipShape(num_frames=num_frames, height=height, width=width)
    fits = fits_for(request.model, shape=shape, level=request.fit, keyframes=joint)
    if not fits:
        return work(None)
    from flowedit.wan.fit import run_with_fit

    return run_with_fit(fits, work, report=announce)


def _run(
    request: EditRequest, job: EditJob, folder: RunFolder, watch: Watch, mask: _Mask, fit: "Fit | None"
) -> EditResult:
    """Load the model and edit."""
    begun = time.perf_counter()
    watch("loading the model", 0, 0, None)
    settings = request.settings
    said = dict.fromkeys((settings.prompt, settings.negative_prompt, settings.source_prompt or settings.prompt))
    model = load_model(request.model) if fit is None else load_model(request.model, level=fit, prompts=tuple(said))
    loaded = time.perf_counter()
    result = _edit(request, job, model, folder, watch, mask.small)
    result.seconds["load"] = loaded - begun
    return result


def _edit(
    request: EditRequest, job: EditJob, model: VideoModel, folder: RunFolder, watch: Watch, mask: np.ndarray | None
) -> EditResult:
    if request.settings.method in CLASSICAL:
        watch(f"running {request.settings.method}", 0, 0, None)
        return edit_video(job.frames, job.keyframes, model, request.settings)
    watch("encoding", 0, 0, None)
    window = model_defaults(request.model).window
    if len(job.frames) > window:
        if request.resume:
            raise SettingError(f"--resume goes on with clips of up to {window} frames; this one has {len(job.frames)}.")
        follow = partial(watch, "denoising")
        return edit_long_video(
            job.frames, job.keyframes, model, request.settings, window=window, watch=follow, mask=mask
        )
    prepared = prepare(job.frames, job.keyframes, model, request.settings, Given(mask=mask))
    keeper = StateKeeper(folder.path, prepared, *([] if mask is None else [mask]))
    begun = keeper.begun() if request.resume else None
    total = len(prepared.problem.sigmas) - 1
    latents = prepared.reference_latents
    try:
        for step in edit_steps(prepared, begun):
            latents = step.latents
            keeper.keep(step)
            watch("denoising", step.trace.step + 1, total, step)
    except (KeyboardInterrupt, FlowEditError) as stop:
        _keep_trace(folder, request, prepared, stop)
        raise
    watch("decoding", total, total, None)
    return finish(prepared, latents)


def _keep_trace(folder: RunFolder, request: EditRequest, prepared: PreparedEdit, stop: BaseException) -> None:
    """A run that stops early keeps what it measured, and says in its manifest why it stopped."""
    folder.write_text(TRACE, prepared.trace.to_csv())
    reason = "interrupted" if isinstance(stop, KeyboardInterrupt) else str(stop)
    state = {"status": "stopped", "reason": reason, "steps_done": len(prepared.trace.steps)}
    folder.write_json("stopped.json", {**state, "settings": request.settings.to_dict(), "versions": versions()})


def _manifest(request: EditRequest, job: EditJob, result: EditResult, advice: list[str]) -> dict[str, Any]:
    source_height, source_width = job.clip.frames.shape[1:3]
    return {
        "status": "done",
        **result.manifest(),
        "source": {
            "name": job.clip.path.name,
            "sha256": sha256(job.clip.path),
            "height": source_height,
            "width": source_width,
            "frames": job.clip.total,
            "fps": str(job.fps),
        },
        "keyframe_files": {str(index): sha256(path) for index, path in request.keyframes},
        "metrics": measure(result),
        "advice": advice,
        "versions": versions(),
        "machine": machine(),
        "checkpoints": {path.name: sha256(path) for path in checkpoint_files(request.model)},
        "frame_map": job.frame_map.rows(),
    }


def _full_frames(request: EditRequest, job: EditJob, result: EditResult, mask: _Mask) -> np.ndarray:
    """The edited frames as they are written: at the source's own size where the detail is guided by it."""
    if request.settings.detail != "guided":
        return result.frames
    frames = carry_change(job.clip.frames, result.frames)
    return frames if mask.full is None else apply_mask(job.clip.frames, frames, mask.full)


def _write(folder: RunFolder, request: EditRequest, job: EditJob, result: EditResult, mask: _Mask) -> None:
    """The videos, the sheet and the trace; the report and the manifest come last, when all is known."""
    sound = {"audio_from": job.clip.path, "audio_start_s": job.clip.start_s} if job.clip.has_audio else {}
    frames = _full_frames(request, job, result, mask)
    write_video(folder.file(EDITED), frames, job.fps, lossless=request.lossless, **sound)
    comparison = comparison_frames(result.source, result.frames, result.keyframes)
    write_video(folder.file(COMPARISON), comparison, job.fps)
    write_image(folder.file(SHEET), contact_sheet(result.source, result.frames, result.keyframes))
    folder.write_text(TRACE, result.trace.to_csv())


def _write_report(folder: RunFolder, result: EditResult, manifest: dict[str, Any], advice: list[str]) -> None:
    page = render_report(
        manifest,
        result.trace,
        videos={"source and edited": folder.file(COMPARISON)},
        sheet=folder.file(SHEET),
        advice=advice,
    )
    folder.write_text(REPORT, page)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
