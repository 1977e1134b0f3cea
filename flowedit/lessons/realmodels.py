"""What the real models would need and take: on this machine where it has a GPU, and on the GPU that was recorded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowedit.errors import ModelError, OutputError
from flowedit.lessons.quality import FILE as QUALITY_FILE
from flowedit.model import ClipShape, VideoModel
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import Checkpoint, resolve
from flowedit.wan.memory import Resources, measure_resources, token_count
from flowedit.wan.placement import GB, Placement, needs_of, placements
from flowedit.wan.speed import Speed, predict_minutes

FILE = QUALITY_FILE.with_name("gpu.json")
"""The rows that come with the package; the documentation's own file has all."""
_FORWARD, _ENCODE, _DECODE = "fast path (compiled)", "VAE encode", "VAE decode"
_NO_GPU = "There is no GPU here, and these weights need one."


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What one edit with a real model needs and takes.

    Attributes:
        size: the checkpoint, as it was asked for.
        tokens: length of the transformer's sequence.
        whole_gb: GPU memory where the transformer stays there.
        streamed_gb: GPU memory where its weights rest on the host.
        host_gb: what the host then holds.
        minutes: of the edit, predicted.
        gpu: the GPU that the minutes are for.
        recorded: whether its speed was recorded elsewhere, rather than measured here.
        here: whether it fits this machine, in words.
    """

    size: str
    tokens: int
    whole_gb: float
    streamed_gb: float
    host_gb: float
    minutes: float
    gpu: str
    recorded: bool
    here: str

    def __str__(self) -> str:
        """The outlook as three lines."""
        how = "speed recorded" if self.recorded else "speed measured here"
        return (
            f"{self.size}: {self.tokens} tokens, {self.minutes:.1f} minutes on {self.gpu} ({how})\n"
            f"  GPU {self.whole_gb:.1f} GB, or {self.streamed_gb:.1f} GB with the weights on the host, "
            f"which then takes {self.host_gb:.1f} GB\n"
            f"  here: {self.here}"
        )


def outlook(size: str, shape: ClipShape, settings: EditSettings, *, keyframes: int) -> Outlook:
    """Memory and minutes of an edit with a real model; nothing is fetched or loaded.

    Args:
        size: a checkpoint's name or alias.
        shape: the clip.
        settings: of the edit.
        keyframes: how many.
    """
    entry, machine = resolve(size), measure_resources()
    joint = keyframes if settings.conditioning in ("tokens", "both") else 0
    fit, here = _fit(entry, shape, machine, joint)
    speed, gpu = _measured(entry, fit, machine) if fit and machine.gpu_total else recorded_speed(size)
    whole, streamed = (needs_of(entry, shape, level, keyframes=joint) for level in ("resident", "offload"))
    return Outlook(
        size=size,
        tokens=token_count(entry, shape, joint),
        whole_gb=whole.gpu / GB,
        streamed_gb=streamed.gpu / GB,
        host_gb=streamed.host / GB,
        minutes=predict_minutes(speed, entry, shape, settings, keyframes=keyframes),
        gpu=gpu,
        recorded=not (fit and machine.gpu_total),
        here=here,
    )


def recorded_speed(size: str, path: Path = FILE) -> tuple[Speed, str]:
    """The speed of a checkpoint's width that `python -m benchmarks gpu` measured, and the GPU that it measured it on.

    Raises:
        OutputError: there is no such record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return _speed(resolve(size), record), str(record["gpu"])
    except (OSError, KeyError, ValueError) as error:
        raise OutputError(
            f"No speed of {size} in {path.name}; measure it with `python -m benchmarks gpu`, then build the lessons."
        ) from error


def load_real(size: str, shape: ClipShape) -> VideoModel:
    """A real model, where this machine has a GPU for it and its weights.

    Raises:
        ModelError: which of the two is missing, and what helps.
    """
    from flowedit.models import load_model

    if not measure_resources().gpu_total:
        raise ModelError(_NO_GPU)
    return load_model(size, shape=shape)


def keep_speeds(source: Path, target: Path = FILE) -> Path:
    """Copy the rows that `recorded_speed` reads from the documentation's measurements into the package.

    Args:
        source: `docs/gpu.json`.
        target: the copy.

    Returns:
        The copy's path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(brief(source.read_text(encoding="utf-8")), encoding="utf-8")
    return target


def brief(text: str) -> str:
    """The measurements in JSON, without what `recorded_speed` does not read."""
    whole = json.loads(text)
    wanted = (_FORWARD, _ENCODE, _DECODE)
    names = ("checkpoint", "name", "keyframes", "seconds")
    rows = [{name: row[name] for name in names} for row in whole["rows"] if row["name"] in wanted]
    about = whole["about"]
    return json.dumps({"gpu": about["machine"]["gpu"], "clip": about["clip"], "rows": rows}, indent=1) + "\n"


def _speed(entry: Checkpoint, record: dict[str, Any]) -> Speed:
    """Two forwards of different length give the two parts of a block's time; all checkpoints share one VAE."""
    shape = ClipShape(**record["clip"])
    seconds = {(row["checkpoint"], row["name"], row["keyframes"]): row["seconds"] for row in record["rows"]}
    points = [
        (token_count(entry, shape, k), t)
        for (of, name, k), t in seconds.items()
        if (of, name) == (entry.name, _FORWARD)
    ]
    (few, short), (many, long) = sorted(points)
    blocks = entry.width.layers + entry.width.vace_layers
    quadratic = (long / many - short / few) / (many - few)
    pixels = shape.num_frames * shape.height * shape.width
    encode, decode = (
        next(t for (_, name, _k), t in seconds.items() if name == wanted) for wanted in (_ENCODE, _DECODE)
    )
    return Speed(
        linear=(short / few - quadratic * few) / blocks,
        quadratic=quadratic / blocks,
        encode=encode / pixels,
        decode=decode / pixels,
    )


def _fit(entry: Checkpoint, shape: ClipShape, machine: Resources, joint: int) -> tuple[Placement | None, str]:
    """How a checkpoint would be placed here, and that in words."""
    if not machine.gpu_total:
        return None, "no GPU, so this run is not for this machine"
    try:
        fit = placements(entry, shape, machine, keyframes=joint)[0]
    except ModelError as error:
        return None, str(error)
    return fit, f"it fits, level {fit.level}"


def _measured(entry: Checkpoint, fit: Placement, machine: Resources) -> tuple[Speed, str]:
    """The speed of a checkpoint's width on this machine's GPU: a minute with random weights."""
    from flowedit.wan.fast import FastOptions
    from flowedit.wan.speed import measure_speed

    fast = FastOptions() if fit.level == "resident" else None
    speed = measure_speed(
        entry.width, latent_channels=entry.latent_channels, device=fit.device, dtype=fit.dtype, fast=fast
    )
    return speed, machine.gpu_name
