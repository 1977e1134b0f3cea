"""`flowedit doctor`: what this machine has, what can run on it, and how long that would take."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from flowedit.frames import ClipShape
    from flowedit.wan.checkpoints import Checkpoint
    from flowedit.wan.memory import Resources
    from flowedit.wan.placement import Placement
    from flowedit.wan.speed import Speed

_GB = 1e9
_LONG_MINUTES = 24 * 60


def doctor(
    frames: Annotated[int | None, typer.Option(help="Frames of the clip; default: each checkpoint's own.")] = None,
    keyframes: Annotated[int, typer.Option(min=0, help="Keyframes of the edit.")] = 5,
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Measure speed to predict minutes.")] = True,
) -> None:
    """Show versions, processor, memory and disk, and what each checkpoint would need and take here."""
    from rich.console import Console

    from flowedit.wan.memory import measure_resources

    console = Console()
    resources = measure_resources()
    console.print(_machine_table(resources))
    # The spinner goes to stderr: the table of a redirected output stays a table.
    with Console(stderr=True).status("") as status:
        table = _run_table(resources, frames, keyframes, status.update if speed else None)
    console.print(table)


def _machine_table(resources: "Resources") -> "Table":
    from rich.table import Table

    from flowedit.environment import versions
    from flowedit.wan.fast import find_flash3, lacks_flash3

    table = Table(show_header=False, box=None)
    for name, version in versions().items():
        table.add_row(name, version)
    table.add_row("processor", f"{resources.cpu}, {resources.cores} cores")
    gpu = f"{resources.gpu_name}, {resources.gpu_free / _GB:.1f} of {resources.gpu_total / _GB:.1f} GB free"
    table.add_row("GPU", gpu if resources.gpu_total else "none: the real models run, slowly; the small one is quick")
    if sys.platform == "linux" and lacks_flash3(resources.capability):
        cure = "pip install 'flowedit\\[hopper]' adds it, the fastest on this GPU"
        table.add_row("attention", f"{find_flash3().said}; {cure}")
    table.add_row("memory", f"{resources.host_free / _GB:.1f} of {resources.host_total / _GB:.1f} GB free")
    table.add_row("disk", f"{resources.disk_free / _GB:.1f} GB free for checkpoints")
    return table


def _run_table(
    resources: "Resources", frames: int | None, keyframes: int, announce: "Callable[[str], None] | None"
) -> "Table":
    """What can run; `announce` is told what is being measured, None measures nothing."""
    from rich.table import Table

    from flowedit.wan.checkpoints import CHECKPOINTS

    title = f"an edit with {keyframes} keyframes, as tokens but for tiny, at each model's own size and steps"
    table = Table("checkpoint", "clip", "level", "GPU needs", "host needs", "minutes", title=title)
    table.add_row("tiny", *_tiny_row(frames, keyframes, announce))
    speeds: dict[tuple[int, int, bool], Speed] = {}
    for entry in CHECKPOINTS.values():
        if announce is not None:
            announce(f"measuring {entry.name}")
        table.add_row(entry.name, *_row(entry, resources, frames, keyframes, None if announce is None else speeds))
    return table


def _tiny_row(frames: int | None, keyframes: int, announce: "Callable[[str], None] | None") -> tuple[str, ...]:
    """The shipped small model: it is there and it fits, so its edit is made rather than predicted."""
    from flowedit.cli.measuring import SIDE, measure_tiny
    from flowedit.presets import model_defaults

    window = model_defaults("tiny").window
    clip = f"{frames or window} of {SIDE}x{SIDE}"
    if announce is None:
        return clip, "resident", "", "", "not measured"
    announce("measuring tiny: an edit by the small model")
    cost = measure_tiny(keyframes)
    seconds = cost.seconds * (frames or window) / window  # longer clips run window by window
    needs = f"{cost.gpu / _GB:.1f} GB", f"{cost.host / _GB:.1f} GB"
    return clip, "resident", *needs, f"{seconds / 60:.1f} ({seconds:.0f} s)"


def _row(
    entry: "Checkpoint",
    resources: "Resources",
    frames: int | None,
    keyframes: int,
    speeds: "dict[tuple[int, int, bool], Speed] | None",
) -> tuple[str, ...]:
    from flowedit.errors import ModelError
    from flowedit.frames import ClipShape
    from flowedit.wan.placement import placements

    shape = ClipShape(num_frames=frames or entry.num_frames, height=entry.height, width=entry.width_px)
    clip = f"{shape.num_frames} of {shape.width}x{shape.height}"
    try:
        placement = placements(entry, shape, resources, keyframes=keyframes)[0]
    except ModelError as error:
        return clip, "does not fit", "", "", str(error).rsplit("; ", 1)[-1].split(". ")[0]
    needs = f"{placement.needs.gpu / _GB:.1f} GB", f"{placement.needs.host / _GB:.1f} GB"
    if speeds is None:
        return clip, placement.level, *needs, "not measured"
    return clip, placement.level, *needs, _minutes(entry, placement, shape, keyframes, speeds)


def _minutes(
    entry: "Checkpoint",
    placement: "Placement",
    shape: "ClipShape",
    keyframes: int,
    speeds: "dict[tuple[int, int, bool], Speed]",
) -> str:
    """Predicted time in words; each width is measured once."""
    from flowedit.presets import preset_settings
    from flowedit.wan.fast import FastOptions
    from flowedit.wan.speed import measure_speed, predict_minutes

    # A transformer that the GPU holds whole runs on the fast path; see `flowedit.wan.pace`.
    resident = placement.level == "resident"
    key = entry.width.dim, entry.latent_channels, resident
    if key not in speeds:
        speeds[key] = measure_speed(
            entry.width,
            latent_channels=entry.latent_channels,
            device=placement.device,
            dtype=placement.dtype,
            fast=FastOptions() if resident else None,
        )
    settings = preset_settings(entry.name)
    minutes = predict_minutes(speeds[key], entry, shape, settings, keyframes=keyframes)
    return f"{minutes:.1f}" if minutes < _LONG_MINUTES else f"{minutes:.0f} ({minutes / 60 / 24:.0f} days)"
