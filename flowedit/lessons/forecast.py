"""What an edit with a real model needs and takes, before anything is fetched."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from flowedit.errors import ModelError, OutputError
from flowedit.frames import ClipShape
from flowedit.settings import EditSettings
from flowedit.wan.checkpoints import resolve
from flowedit.wan.memory import Resources, keyframes_in, token_count
from flowedit.wan.placement import GB, needs_of, placements
from flowedit.wan.speed import Speed, predict_minutes

FILE = Path(__file__).parent / "recorded" / "gpu.json"


class Outlook(NamedTuple):
    """The minutes that an edit takes, and in words its tokens, minutes and memory."""

    minutes: float
    words: str


def outlook(size: str, shape: ClipShape, settings: EditSettings, *, keyframes: int) -> Outlook:
    """Memory and minutes of an edit of a clip with a real model, such as "1.3B"; nothing is fetched or loaded."""
    entry = resolve(size)
    joint = keyframes_in(entry, settings.conditioning, keyframes)
    speed, gpu = recorded_speed(size)
    minutes = predict_minutes(speed, entry, shape, settings, keyframes=keyframes)
    tokens = token_count(entry, shape, joint)
    whole, streamed = (needs_of(entry, shape, level, keyframes=joint) for level in ("resident", "offload"))
    words = (
        f"{size}: {tokens} tokens, {minutes:.1f} minutes on {gpu} (its speed was recorded)\n"
        f"  GPU {whole.gpu / GB:.1f} GB, or {streamed.gpu / GB:.1f} GB with the weights on the host, "
        f"which then takes {streamed.host / GB:.1f} GB"
    )
    return Outlook(minutes, words)


CARDS = {"T4": 15, "RTX 3060": 12, "RTX 4090": 24, "A100": 40, "H100": 80}
"""Gigabytes of GPUs that people have; the first is what Colab lends."""


def fits(names: Sequence[str], *, host: int = 64, keyframes: int = 5) -> str:
    """Where the weights of checkpoints rest on each of `CARDS`, in a machine of `host` gigabytes, as a table."""
    lines = [f"{'':24}" + "".join(f"{f'{card} {size} GB':>17}" for card, size in CARDS.items())]
    machine = Resources(device="cuda", capability=(8, 0), host_total=host * GB, host_free=host * GB, disk_free=0)
    for entry in map(resolve, names):
        shape, levels = ClipShape(num_frames=entry.num_frames, height=entry.height, width=entry.width_px), []
        for size in CARDS.values():
            card = replace(machine, gpu_total=size * GB, gpu_free=size * GB)
            try:
                levels.append(placements(entry, shape, card, keyframes=keyframes)[0].level)
            except ModelError:
                levels.append("too small")
        lines.append(f"{entry.name:24}" + "".join(f"{level:>17}" for level in levels))
    return "\n".join(lines)


def recorded_speed(size: str) -> tuple[Speed, str]:
    """The speed of a checkpoint's width on the GPU of the record, and that GPU's name."""
    record = json.loads(FILE.read_text(encoding="utf-8"))
    if (name := resolve(size).name) not in record["speeds"]:
        raise OutputError(f"No speed of {size} was recorded; measure it with `flowedit doctor --speed`.")
    return Speed(**record["speeds"][name]), record["gpu"]
