"""`flowedit demo`: the main job on a clip of its own."""

from pathlib import Path
from typing import Annotated

import typer

from flowedit.cli.edit import run_shown
from flowedit.media.clips import ShippedClip
from flowedit.presets import preset_settings
from flowedit.run.request import EditRequest
from flowedit.runfolder import SHEET, claimed


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("flowedit-demo"),
    style: Annotated[str, typer.Option(help="A look that is painted offline.")] = "oil",
    clip: Annotated[ShippedClip, typer.Option(help="A clip that comes with flowedit.")] = "mountain",
    preset: Annotated[str, typer.Option(help="default, draft or method.")] = "default",
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the folder.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line a step.")] = False,
) -> None:
    """Paint frames of a real clip, edit it at full size, and leave a report and a contact sheet."""
    from flowedit.run.demo import make_demo  # loads OpenCV

    with claimed(output, overwrite=overwrite):
        made = make_demo(output / "inputs", style=style, clip=clip)
    settings = preset_settings("tiny", preset)
    request = EditRequest(
        video=made.video, keyframes=made.keyframes, output=output, settings=settings, overwrite=overwrite
    )
    (outcome,) = run_shown(request, [("", settings)], verbose=verbose)
    typer.echo(outcome.folder / SHEET)
