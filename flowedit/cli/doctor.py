"""`flowedit doctor`: what this machine has, what can run on it, and if asked how long that would take."""

import sys
from collections.abc import Callable
from math import isqrt
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flowedit.environment import processor, versions
from flowedit.errors import ModelError
from flowedit.frames import ClipShape
from flowedit.presets import model_defaults, preset_settings
from flowedit.wan.checkpoints import CHECKPOINTS, Checkpoint

if TYPE_CHECKING:
    from flowedit.wan.memory import Resources
    from flowedit.wan.placement import Placement
    from flowedit.wan.speed import Speed

_LONG_MINUTES = 24 * 60
Minutes = Callable[[Checkpoint, "Placement", ClipShape], str]
"""Predicts in words how long an edit of a clip takes, where a checkpoint is placed so."""


def doctor(
    frames: Annotated[int | None, typer.Option(help="Frames of the clip; default: each checkpoint's own.")] = None,
    keyframes: Annotated[int, typer.Option(min=0, help="Keyframes of the edit.")] = 5,
    *,
    speed: Annotated[bool, typer.Option("--speed", help="Measure speed to predict minutes.")] = False,
) -> None:
    """Show versions, processor, memory and disk, and what each checkpoint needs here; with --speed also the minutes."""
    from flowedit.wan.memory import measure_resources

    console, resources = Console(), measure_resources()
    console.print(_machine_table(resources))
    if not speed:
        console.print(_run_table(resources, frames, keyframes))
        console.print("flowedit doctor --speed measures how many minutes each takes here.", highlight=False)
        return
    # The spinner goes to stderr: the table of a redirected output stays a table.
    with Console(stderr=True).status("") as status:
        table = _run_table(resources, frames, keyframes, _stopwatch(keyframes, status.update))
    console.print(table)


def _machine_table(resources: "Resources") -> Table:
    table = Table(show_header=False, box=None)
    for name, version in versions().items():
        table.add_row(name, version)
    table.add_row("processor", processor())
    gpu = f"{resources.gpu_name}, {resources.gpu_free / 1e9:.1f} of {resources.gpu_total / 1e9:.1f} GB free"
    table.add_row("GPU", gpu if resources.gpu_total else "none: the real models run, slowly; the small one is quick")
    if resources.gpu_total and sys.platform == "linux":
        from flowedit.wan.fast import HOPPER, find_flash3

        if resources.capability == HOPPER:
            found = find_flash3()
            cure = "; pip install 'flowedit\\[hopper]' adds it, the fastest on this GPU" if found.call is None else ""
            table.add_row("attention", found.said + cure)
    table.add_row("memory", f"{resources.host_free / 1e9:.1f} of {resources.host_total / 1e9:.1f} GB free")
    table.add_row("disk", f"{resources.disk_free / 1e9:.1f} GB free for checkpoints")
    return table


def _run_table(resources: "Resources", frames: int | None, keyframes: int, minutes: Minutes | None = None) -> Table:
    """What can run; without a stopwatch nothing is measured."""
    title = f"an edit with {keyframes} keyframes, as tokens but for tiny, at each model's own size and steps"
    columns = "checkpoint", "clip", "level", "GPU needs", "host needs", *(("minutes",) if minutes else ())
    table, tiny = Table(*columns, title=title), model_defaults("tiny")
    table.add_row("tiny", f"{frames or tiny.window} of {isqrt(tiny.area)}x{isqrt(tiny.area)}", "resident")
    for entry in CHECKPOINTS.values():
        table.add_row(entry.name, *_row(entry, resources, frames, keyframes, minutes))
    return table


def _row(
    entry: Checkpoint, resources: "Resources", frames: int | None, keyframes: int, minutes: Minutes | None
) -> tuple[str, ...]:
    from flowedit.wan.placement import placements

    shape = ClipShape(num_frames=frames or entry.num_frames, height=entry.height, width=entry.width_px)
    clip = f"{shape.num_frames} of {shape.width}x{shape.height}"
    try:
        placement = placements(entry, shape, resources, keyframes=keyframes)[0]
    except ModelError as error:
        return clip, f"no: {str(error).rsplit('; ', 1)[-1].split('. ')[0]}"
    needs = f"{placement.needs.gpu / 1e9:.1f} GB", f"{placement.needs.host / 1e9:.1f} GB"
    return clip, placement.level, *needs, *((minutes(entry, placement, shape),) if minutes else ())


def _stopwatch(keyframes: int, announce: Callable[[str], object]) -> Minutes:
    """Measures each width of transformer once; `announce` is told what."""
    from flowedit.wan.speed import measure_speed, predict_minutes  # loads torch

    speeds: dict[tuple[int, int, bool], Speed] = {}

    def minutes(entry: Checkpoint, placement: "Placement", shape: ClipShape) -> str:
        announce(f"measuring {entry.name}")
        # A transformer that the GPU holds whole runs on the fast path; see `flowedit.wan.pace`.
        resident = placement.level == "resident"
        key, backend = (entry.width.dim, entry.latent_channels, resident), "inductor" if resident else None
        if key not in speeds:
            place = {"device": placement.device, "dtype": placement.dtype, "backend": backend}
            speeds[key] = measure_speed(entry.width, latent_channels=entry.latent_channels, **place)
        found = predict_minutes(speeds[key], entry, shape, preset_settings(entry.name), keyframes=keyframes)
        return f"{found:.1f}" if found < _LONG_MINUTES else f"{found:.0f} ({found / _LONG_MINUTES:.0f} days)"

    return minutes
