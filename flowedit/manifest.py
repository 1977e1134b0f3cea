"""A run's manifest: what was edited, with what, and where it ran."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowedit.environment import machine, versions
from flowedit.job import EditJob
from flowedit.measure import measure
from flowedit.models import checkpoint_files
from flowedit.result import EditResult

if TYPE_CHECKING:
    from flowedit.ahead import EditRequest
    from flowedit.wan.lora import CheckedLora


def manifest_of(request: "EditRequest", job: EditJob, result: EditResult, advice: list[str]) -> dict[str, Any]:
    """Everything that says where a result came from: settings, files and their hashes, versions, machine."""
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
        "output": _output(request, job, result),
        "request": {
            **{name: getattr(request, name) for name in ("num_frames", "start", "lossless", "fit", "pace")},
            "size": None if request.size is None else list(request.size),
            "mask": None if request.mask is None else {"name": request.mask.name, "sha256": sha256(request.mask)},
        },
        "keyframe_files": {str(index): sha256(path) for index, path in request.keyframes},
        "styling": None if request.styling is None else asdict(request.styling),
        "metrics": measure(result),
        "advice": advice,
        "versions": versions(),
        "machine": machine(),
        "checkpoints": {path.name: sha256(path) for path in checkpoint_files(request.model)},
        "frame_map": job.frame_map.rows(),
    }


def _output(request: "EditRequest", job: EditJob, result: EditResult) -> dict[str, int]:
    """The size at which the edited video is written: the source's own where its detail is the guide."""
    frames = job.clip.frames if request.settings.detail == "guided" else result.frames
    return {"height": frames.shape[1], "width": frames.shape[2]}


def lora_record(checked: "CheckedLora") -> dict[str, Any]:
    """What a manifest keeps of a LoRA: its file's name and hash, how strongly it was added, and where."""
    lora = checked.lora
    return {
        "name": lora.path.name,
        "sha256": sha256(lora.path),
        "strength": lora.strength,
        "expert": lora.expert,
        "layers": checked.layers,
        "left_out": checked.left_out,
    }


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
