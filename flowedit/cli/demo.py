"""`flowedit demo`: the main job on a clip of its own."""

from pathlib import Path
from typing import Annotated

import typer

from flowedit.cli.edit import run_shown
from flowedit.presets import preset_settings
from flowedit.run.request import EditRequest
from flowedit.runfolder import SHEET, claimed


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("flowedit-demo"),
    style: Annotated[str, typer.Option(help="A look of the small model's world.")] = "comic",
    scene: Annotated[int, typer.Option(min=0, help="Which held-out scene.")] = 3,
    preset: Annotated[str, typer.Option(help="default, draft or method.")] = "default",
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the folder.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line a step.")] = False,
) -> None:
    """Make a clip and styled keyframes, edit the clip, and leave a report and a contact sheet."""
    from flowedit.run.demo import make_demo  # loads torch

    with claimed(output, overwrite=overwrite):
        made = make_demo(output / "inputs", style=style, scene=scene)
    settings = preset_settings("tiny", preset, prompt=made.caption)
    request = EditRequest(
        video=made.video, keyframes=made.keyframes, output=output, settings=settings, overwrite=overwrite
    )
    (outcome,) = run_shown(request, [("", settings)], verbose=verbose)
    typer.echo(outcome.folder / SHEET)
