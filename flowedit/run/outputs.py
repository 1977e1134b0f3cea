"""What a run leaves in its folder: videos, sheet, trace and report, and the manifest that says where they are from."""

import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit import runfolder
from flowedit.edit.result import EditResult
from flowedit.environment import machine, peak_memory_mb, versions
from flowedit.errors import FlowEditError
from flowedit.files import digest_of, make_folder, write_json, write_text
from flowedit.frames import slot_of
from flowedit.keyframes import Keyframe
from flowedit.media.clip import resize_image, resize_video, write_image, write_video
from flowedit.media.sequence import is_sequence, picture_files
from flowedit.metrics import colour_drift, colour_offsets, edge_agreement, keyframe_flicker, psnr
from flowedit.models import checkpoint_files
from flowedit.run.advice import advise
from flowedit.run.inputs import Inputs, sha256
from flowedit.run.report import comparison_frames, contact_sheet, render_report
from flowedit.run.request import EditRequest
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.edit.preparation import PreparedEdit
    from flowedit.edit.windows import LongEdit
    from flowedit.methods.branches import Step

Watch = Callable[[str, int, int, "Step | None"], None]
"""(what is being done, steps done, steps in all, the step just done): called before and after everything slow."""
Announce = Callable[[str], object]
"""Is told in a line what was chosen for the user."""


@dataclass(frozen=True, kw_only=True)
class EditOutcome:
    """What a run left behind: the folder with its files, and the contents of `run.json`."""

    folder: Path
    manifest: dict[str, Any]


_ASKED = ("num_frames", "start", "every", "crop", "pad", "audio", "fps", "frames_out", "lossless", "placement", "pace")
_DECIDE = ("model", "size", *(name for name in _ASKED if name != "placement"))
"""What of a request beside its files decides the result; memory that runs out may change where the weights rest."""


@contextmanager
def each_claimed(
    request: EditRequest, runs: Sequence[tuple[str, EditSettings]]
) -> Generator[list[EditRequest], None, None]:
    """A request for each of some runs, by the name of its folder inside the request's; all folders are claimed."""
    with ExitStack() as folders:
        requests = [replace(request, settings=settings, output=request.output / name) for name, settings in runs]
        for each in requests:
            folders.enter_context(runfolder.claimed(each.output, overwrite=each.overwrite))
        yield requests


def write_outputs(
    request: EditRequest, inputs: Inputs, result: EditResult, said: list[str], ran: str, begun: float
) -> EditOutcome:
    """Write everything into the request's folder; an earlier run in it stays whole until all of this one is there.

    `said` is what was warned of meanwhile; `ran` says where and how the model ran. The run began at `begun`, on the
    clock of `time.perf_counter`; the result's seconds get their total.
    """
    with trace_kept(request, result), runfolder.replacing(request.output) as folder:
        write_text(folder / runfolder.TRACE, result.trace.to_csv())
        shown = _shown(result, inputs)
        _write_media(folder, request, inputs, result, shown)
        result.seconds["total"] = time.perf_counter() - begun
        offsets = colour_offsets(shown.frames, shown.source).round(2).tolist()
        found = {"metrics": measure(shown), "colour_offsets": offsets}
        manifest = {**manifest_of(request, inputs, result, [*advise(shown), *said], ran), **found}
        files = {"video": folder / runfolder.COMPARISON, "sheet": folder / runfolder.SHEET}
        write_text(folder / runfolder.REPORT, render_report(manifest, result.trace, **files))
        write_json(folder / runfolder.MANIFEST, manifest)
    return EditOutcome(folder=request.output, manifest=manifest)


def _shown(result: EditResult, inputs: Inputs) -> EditResult:
    """An edit at the size that it is shown at, beside its source."""
    size = inputs.shown.shape[1:3]
    keyframes = tuple(Keyframe(one.index, resize_image(one.image, size)) for one in result.keyframes)
    return replace(result, frames=resize_video(result.frames, size), source=inputs.shown, keyframes=keyframes)


def _write_media(folder: Path, request: EditRequest, inputs: Inputs, result: EditResult, small: EditResult) -> None:
    clip, shown, frames = inputs.clip, (small.source, small.frames, small.keyframes), result.frames
    write_video(folder / runfolder.EDITED, frames, clip.times, lossless=request.lossless, audio_from=inputs.sound)
    if request.frames_out == "png":
        for index, frame in enumerate(frames):
            write_image(make_folder(folder / runfolder.FRAMES) / f"frame-{index:04d}.png", frame)
    elif request.frames_out is not None:
        write_video(folder / runfolder.ANIMATIONS[request.frames_out], frames, clip.times)
    write_video(folder / runfolder.COMPARISON, comparison_frames(*shown), clip.times)
    write_image(folder / runfolder.SHEET, contact_sheet(*shown))


@contextmanager
def trace_kept(request: EditRequest, edit: "PreparedEdit | LongEdit | EditResult") -> Generator[None, None, None]:
    """Where the block is stopped, keep what the edit measured so far, and say why it stopped; an earlier run stays."""
    try:
        yield
    except (KeyboardInterrupt, FlowEditError) as stop:
        trace, folder = edit.trace, request.output
        if trace is not None:
            name = runfolder.STOPPED_TRACE if runfolder.holds_run(folder) else runfolder.TRACE
            write_text(folder / name, trace.to_csv())
            reason = "interrupted" if isinstance(stop, KeyboardInterrupt) else str(stop)
            state = {"status": "stopped", "reason": reason, "steps_done": len(trace.steps)}
            state |= {"settings": request.settings.to_dict(), "versions": versions()}
            write_json(folder / runfolder.STOPPED, state)
        raise


def manifest_of(
    request: EditRequest, inputs: Inputs, result: EditResult, advice: list[str], ran: str
) -> dict[str, Any]:
    """Everything that says where a result came from: settings, files and their hashes, versions, machine."""
    clip, (height, width) = inputs.clip, inputs.clip.frames.shape[1:3]
    source = {"name": clip.path.name, "sha256": sha256(*clip.files), "height": height, "width": width}
    return {
        "status": "done",
        "asked": asked_of(request),
        **result.manifest(),
        "height": inputs.frames.shape[1],
        "width": inputs.frames.shape[2],
        "source": {**source, "frames": clip.total, "fps": str(clip.fps)},
        "output": {"height": height, "width": width},
        "request": {
            **{name: getattr(request, name) for name in _ASKED},
            "size": None if request.size is None else list(request.size),
            "mask": None if request.mask is None else {"name": request.mask.name, "sha256": sha256(request.mask)},
        },
        "keyframe_files": {str(index): sha256(path) for index, path in request.keyframes},
        "loras": inputs.lora_records,
        "styling": None if request.styling is None else asdict(request.styling),
        "advice": advice,
        "ran": ran,
        "versions": versions(),
        "machine": machine(),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "checkpoints": {path.name: sha256(path) for path in _weights(request)},
        "notes": list(inputs.notes),
        "frame_map": [
            {"source_frame": frame, "clip_frame": i, "latent_slot": slot_of(i), "seconds": round(float(time), 6)}
            for i, (frame, time) in enumerate(zip(inputs.window, clip.times, strict=False))
        ],
    }


@contextmanager
def following(request: EditRequest) -> Generator[EditRequest, None, None]:
    """The request of a process that does its share of an edit and leaves nothing, in a folder that goes."""
    with TemporaryDirectory() as name:
        folder, state = make_folder(Path(name) / "run"), request.output / runfolder.STATE
        if request.resume and state.is_file():
            shutil.copy(state, folder)
        yield replace(request, output=folder, overwrite=True)


def asked_of(request: EditRequest) -> str:
    """Digest of all that decides a result, files by their content: two requests with one digest ask for one thing."""
    video = picture_files(request.video) if is_sequence(request.video) else [request.video]
    files = [*video, *(path for _, path in request.keyframes), *([request.mask] if request.mask else [])]
    return digest_of(
        [[name, str(getattr(request, name))] for name in _DECIDE],
        request.settings.to_dict(),
        [index for index, _ in request.keyframes],
        [sha256(path) for path in [*files, *_weights(request)]],
        [[sha256(lora.path), lora.strength, lora.expert] for lora in request.loras],
    )


def _weights(request: EditRequest) -> list[Path]:
    return [] if request.settings.classical else checkpoint_files(request.model)


def measure(result: EditResult) -> dict[str, float]:
    """Figures of an edit against its own source and keyframes.

    Returns:
        `psnr_at_keyframes`: dB between the edited frames and the styled keyframes, mean, each capped at 40.
        `edges_kept`: agreement of the edit's edges with the source's, in [0, 1].
        `flicker_at_keyframes`: jump between frames around keyframes relative to the source's own; 1 = none added.
        `colour_drift`: how far the mean colour wanders against the source's, in 8-bit levels.
        `final_gap`: largest relative gap left at a keyframe; only where there were steps.
    """
    frames, source, keyframes = result.frames, result.source, result.keyframes
    figures = {"edges_kept": edge_agreement(frames, source), "colour_drift": colour_drift(frames, source)}
    if keyframes:
        indices = [keyframe.index for keyframe in keyframes]
        styled = np.stack([keyframe.image for keyframe in keyframes])
        figures["psnr_at_keyframes"] = float(np.mean(psnr(frames[indices], styled)))
        figures["flicker_at_keyframes"] = keyframe_flicker(frames, source, indices)
    if result.trace.steps and result.trace.keyframes:
        figures["final_gap"] = result.trace.final_gap()
    return figures
