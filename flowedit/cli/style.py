"""`flowedit style`: choose keyframes of a video and style them, for `flowedit edit` to carry through it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.cli.options import options_of, with_options
from flowedit.cli.progress import StyleProgress, counted, printable, show_cost

if TYPE_CHECKING:
    from flowedit.agent.state import ApprovalRequest, Decision


@with_options(
    look=options_of(StyleSettings, but=("redo", "gemini"), called={"num_frames": "frames"}),
    limits=options_of(GeminiSettings, ("max_usd", "max_calls", "text_model", "image_model")),
)
def style(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the keyframes; an unfinished run goes on.")
    ],
    look: dict[str, Any],
    limits: dict[str, Any],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the keyframes without asking.")] = False,
) -> None:
    """Choose keyframes of a video and style them."""
    from flowedit.agent.run import approve_all, style_video

    settings = StyleSettings(**look, gemini=GeminiSettings(**limits))
    # Without a terminal there is nobody to ask, and the keyframes are taken as with --yes.
    attended = sys.stdin.isatty() and not yes
    shown = StyleProgress()

    def asked(request: "ApprovalRequest") -> "Decision | None":
        shown.bar.stop()
        try:
            return ask(request, output)
        finally:
            shown.bar.start()

    with shown.bar:
        approver = asked if attended else approve_all
        result = style_video(video, settings, output, approver=approver, watch=shown.watch)
    show_cost(result)
    if result.status == "waiting":
        typer.echo(f"The keyframes wait for an answer; repeat the command to look at them again ({result.folder}).")
    elif result.status == "rejected":
        typer.echo(f"Not taken; the attempts stay in {result.folder / 'attempts'}.")
    else:
        where = "frame" if len(result.indices) == 1 else "frames"
        typer.echo(f"{counted(len(result.indices), 'keyframe')}, {where} {', '.join(map(str, result.indices))}")
        typer.echo(result.folder / "keyframes")


def ask(request: "ApprovalRequest", folder: Path) -> "Decision | None":
    """Ask at the terminal whether the keyframes are taken; "later" leaves the run waiting."""
    from flowedit.agent.state import Decision

    for index, name in request.files.items():
        faults = " ".join(fault.text for fault in request.verdicts[index].faults)
        typer.echo(printable(f"frame {index:4d}  {folder / name}  {faults or 'consistent'}"))
    while True:
        said = typer.prompt("Take them? [yes, no, later, or a frame number to redo]", default="yes").strip().lower()
        if said in ("y", "yes"):
            return Decision(approve=True)
        if said in ("n", "no"):
            return Decision(approve=False)
        if said == "later":
            return None
        if said.isdecimal() and int(said) in request.files:
            while not (reason := typer.prompt("What is wrong with it?").strip()):
                typer.echo("Say it in a few words, such as: too dark.")
            return Decision(redo={int(said): reason})
        typer.echo(f"Answer yes, no, later, or one of {', '.join(map(str, request.files))}.")
