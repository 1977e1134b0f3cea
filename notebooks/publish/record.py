"""What lessons carry with them: the recorded edit, the benchmark's means, and the speed of the real models."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import RESULTS
from benchmarks.table import BenchTable, Interval, read_scores
from flowedit.agent.events import read_record
from flowedit.agent.run import style_video
from flowedit.agent.sample import frames_source
from flowedit.agent.settings import StyleSettings
from flowedit.edit.result import EditResult
from flowedit.edit.steps import edit_video
from flowedit.keyframes import Keyframe
from flowedit.lessons import forecast, material, scoring
from flowedit.lessons.record import FOLDER, RUN, STRIPS
from flowedit.model import ClipShape, to_frames, to_pixels
from flowedit.presets import preset_settings
from flowedit.wan.checkpoints import resolve
from flowedit.wan.memory import token_count

SIZES = ("1.3B", "14B")
"""The real models whose speed lesson 07 knows."""
_FORWARD, _ENCODE, _DECODE = "fast path (compiled)", "VAE encode", "VAE decode"
_QUALITY = 90


def make() -> tuple[EditResult, list[dict[str, Any]]]:
    """Style keyframes of the lessons' clip with the agent, offline, and edit it step by step with the shipped model.

    Returns:
        The edit, and what the agent did.
    """
    clip = material.clip()
    with tempfile.TemporaryDirectory() as folder:
        wanted = StyleSettings(style="watercolour", backend="offline", target_fps=1.5, max_frames=3)
        styled = style_video(frames_source(clip.frames, fps=16), wanted, folder)
        events = [event.model_dump(mode="json") | {"images": []} for event in read_record(folder).events]
    keyframes = [Keyframe(i, np.asarray(image)) for i, image in zip(styled.indices, styled.images, strict=True)]
    words = clip.source_prompt
    settings = preset_settings("tiny", "method", prompt=f"watercolour {words}", source_prompt=words)
    return edit_video(clip.frames, keyframes, material.small_model(), settings), events


def save(edit: EditResult, events: Sequence[dict[str, Any]], folder: Path = FOLDER) -> None:
    """Write a recording that `flowedit.lessons.record.recorded` reads.

    Args:
        edit: the edit.
        events: what the agent did.
        folder: where to.
    """
    images = np.stack([keyframe.image for keyframe in edit.keyframes])
    for name, frames in zip(STRIPS, (edit.source, edit.frames, images), strict=True):
        strip = Image.fromarray(frames.reshape(-1, *frames.shape[2:]))
        strip.save(folder / f"{name}.webp", "WEBP", quality=_QUALITY, method=6)
    manifest = edit.manifest()
    values = {"keyframes": manifest["keyframes"], "trace": edit.trace.to_dict(), "manifest": manifest}
    (folder / RUN).write_text(json.dumps({**values, "events": list(events)}) + "\n", encoding="utf-8")


def unseen() -> str:
    """What each of the eight rows reaches on the clip of lesson 06's open task, as JSON."""
    clip, model = scoring.unseen(), material.small_model()
    keyframes = clip.painted(*scoring.UNSEEN_AT)

    def edited(preset: str = "default", **changes: Any) -> np.ndarray:  # noqa: ANN401 - any setting
        return edit_video(clip.frames, keyframes, model, preset_settings("tiny", preset, **changes)).frames

    made = (
        clip.frames,
        *(edited(method=method) for method in ("colour-map", "propagation", "estimate")),
        *(edited("method", kappa=0.0), edited("method"), edited()),
        to_frames(model.decode(model.encode(to_pixels(clip.truth)))),
    )
    far = [round(scoring.score(clip, scoring.UNSEEN_AT, frames)["psnr_far"], 2) for frames in made]
    return json.dumps(dict(zip(scoring.EIGHT, far, strict=True)), indent=1) + "\n"


def rows() -> str:
    """The rows of the recorded benchmark as JSON: means with intervals, in dB, and where the model is worth nothing."""
    table = BenchTable(read_scores(RESULTS / "quality.csv.gz"))
    kinds = "exact", "disagreeing"
    found = {
        row: {
            kind: {
                "far": _three(table.mean(row, condition=kind)),
                "key": _three(table.mean(row, "psnr_key", condition=kind)),
                "gain": _three(table.gain("default", row, condition=kind)),
            }
            for kind in kinds
        }
        for row in table.rows
        if all(table.mean(row, condition=kind).cases for kind in kinds)
    }
    about = {"scenes": table.scenes(), "split": table.split}
    return json.dumps({"about": about, "rows": found}, separators=(",", ":")) + "\n"


def _three(found: Interval) -> list[float]:
    return [round(value, 2) for value in (found.mean, found.low, found.high)]


def speeds() -> str:
    """The speed of each real model on the GPU of `benchmarks/results/gpu_h100.json`, as JSON.

    Two forwards of different length give the two parts of a block's time; all checkpoints share one VAE.
    """
    record = json.loads((RESULTS / "gpu_h100.json").read_text(encoding="utf-8"))
    shape = ClipShape(**record["about"]["clip"])
    pixels = shape.num_frames * shape.height * shape.width
    seconds = {(row["checkpoint"], row["name"], row["keyframes"]): row["seconds"] for row in record["rows"]}
    vae = {
        part: next(t for (_, name, _k), t in seconds.items() if name == wanted) / pixels
        for part, wanted in (("encode", _ENCODE), ("decode", _DECODE))
    }
    found = {}
    for entry in map(resolve, SIZES):
        lengths = {
            k: token_count(entry, shape, k) for name, kind, k in seconds if (name, kind) == (entry.name, _FORWARD)
        }
        (few, short), (many, long) = sorted((n, seconds[entry.name, _FORWARD, k]) for k, n in lengths.items())
        blocks = entry.width.layers + entry.width.vace_layers
        quadratic = (long / many - short / few) / (many - few)
        found[entry.name] = {"linear": (short / few - quadratic * few) / blocks, "quadratic": quadratic / blocks, **vae}
    return json.dumps({"gpu": record["about"]["machine"]["gpu"], "speeds": found}, indent=1) + "\n"


def keep_figures() -> None:
    """Write rows and speeds into the package, where lessons 06 and 07 find them."""
    scoring.FILE.write_text(rows(), encoding="utf-8")
    forecast.FILE.write_text(speeds(), encoding="utf-8")
