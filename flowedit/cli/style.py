"""`flowedit style`: choose keyframes of a video and style them, for `flowedit edit` to carry through it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowedit.cli.styling import counted, show_cost, style_progress

if TYPE_CHECKING:
    from flowedit.agent.result import StyleResult
    from flowedit.agent.state import ApprovalRequest, Decision


def style(
    video: Annotated[Path, typer.Argument(help="The video.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the keyframes; an unfinished run goes on.")
    ],
    style: Annotated[str | None, typer.Option(help="Name of a look, such as watercolour.")] = None,
    style_image: Annotated[Path | None, typer.Option(help="Picture whose style to take.")] = None,
    describe: Annotated[str | None, typer.Option(help="The style in words.")] = None,
    max_frames: Annotated[int, typer.Option(help="Most keyframes.")] = 10,
    target_fps: Annotated[float, typer.Option(help="Keyframes a second to aim for.")] = 1.0,
    start: Annotated[int, typer.Option(help="First frame of the window.")] = 0,
    frames: Annotated[int | None, typer.Option(help="Frames of the window, 4n + 1.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the textures.")] = 0,
    backend: Annotated[str, typer.Option(help="auto (Gemini where a key is found), offline or gemini.")] = "auto",
    max_usd: Annotated[float, typer.Option(help="Most that Gemini may cost, in US dollars.")] = 2.0,
    max_calls: Annotated[int, typer.Option(help="Most requests to Gemini.")] = 60,
    text_model: Annotated[str | None, typer.Option(help="Gemini model that reads.")] = None,
    image_model: Annotated[str | None, typer.Option(help="Gemini model that draws.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the keyframes without asking.")] = False,
) -> None:
    """Choose keyframes of a video and style them."""
    from flowedit.agent.run import approve_all, style_video
    from flowedit.agent.settings import GeminiSettings, StyleSettings

    usual = GeminiSettings()
    settings = StyleSettings(
        style=style,
        style_image=style_image,
        describe=describe,
        start=start,
        num_frames=frames,
        target_fps=target_fps,
        max_frames=max_frames,
        seed=seed,
        backend=backend,
        gemini=GeminiSettings(
            max_usd=max_usd,
            max_calls=max_calls,
            text_model=text_model or usual.text_model,
            image_model=image_model or usual.image_model,
        ),
    )
    # Without a terminal there is nobody to ask, and the keyframes are taken as with --yes.
    attended = sys.stdin.isatty() and not yes
    with style_progress() as progress:

        def asked(request: "ApprovalRequest") -> "Decision | None":
            with progress.paused():
                return ask(request, output)

        approver = asked if attended else approve_all
        result = style_video(video, settings, output, approver=approver, watch=progress.watch)
    show(result)


def ask(request: "ApprovalRequest", folder: Path) -> "Decision | None":
    """Ask at the terminal whether the keyframes are taken; "later" leaves the run waiting."""
    from flowedit.agent.state import Decision

    for index, name in request.files.items():
        faults = " ".join(fault.text for fault in request.verdicts[index].faults)
        typer.echo(f"frame {index:4d}  {folder / name}  {faults or 'consistent'}")
    while True:
        said = typer.prompt("Take them? [yes, no, later, or a frame number to redo]", default="yes").strip().lower()
        if said in ("y", "yes"):
            return Decision(approve=True)
        if said in ("n", "no"):
            return Decision(approve=False)
        if said == "later":
            return None
        if said.isdecimal() and int(said) in request.files:
            return Decision(redo={int(said): _reason()})
        typer.echo(f"Answer yes, no, later, or one of {', '.join(map(str, request.files))}.")


def _reason() -> str:
    """What is wrong with a keyframe; asked until something is said."""
    while not (said := typer.prompt("What is wrong with it?").strip()):
        typer.echo("Say it in a few words, such as: too dark.")
    return said


def show(result: "StyleResult") -> None:
    """Say what came out, where it lies, what it cost and what did not go as planned."""
    show_cost(result)
    if result.status == "waiting":
        typer.echo(f"The keyframes wait for an answer; repeat the command to look at them again ({result.folder}).")
    elif result.status == "rejected":
        typer.echo(f"Not taken; the attempts stay in {result.folder / 'attempts'}.")
    else:
        where = "frame" if len(result.indices) == 1 else "frames"
        typer.echo(f"{counted(len(result.indices), 'keyframe')}, {where} {', '.join(map(str, result.indices))}")
        typer.echo(result.folder / "keyframes")
