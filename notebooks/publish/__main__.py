"""`python -m notebooks.publish build | run | site | binder-check | record`: make, run and publish the lessons."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from flowedit.lessons.catalog import Lesson

app = typer.Typer(add_completion=False, help="Make, run and publish the lessons.")
FOLDER = Path("notebooks")


@app.command()
def build() -> None:
    """Make the student and solution notebooks from their sources."""
    from notebooks.publish import build as builder

    for path in builder.build(FOLDER):
        typer.echo(path)


@app.command()
def run(
    numbers: list[str] = typer.Argument(None, help="Lessons, such as 01 02; all when none is given."),  # noqa: B008
    pages: Path = typer.Option(None, help="Also write the site into this folder, from the same run."),  # noqa: B008
) -> None:
    """Run lessons offline; write measured minutes, memory and kept outputs into their notebooks."""
    from notebooks.publish import run as runner

    def write(lesson: "Lesson", notebook: "NotebookNode") -> None:
        from notebooks.publish.site import write_lesson

        write_lesson(notebook, FOLDER, lesson, pages)

    for lesson, taken in runner.run(FOLDER, numbers or [], write if pages else None):
        times = f"{taken.seconds:.1f} s, {taken.cpu_seconds:.1f} s of processor time"
        typer.echo(f"{lesson.stem}: {times}, {taken.peak_megabytes:.0f} MB")
    if pages:
        from notebooks.publish.site import write_frame

        for path in write_frame(FOLDER, pages):
            typer.echo(path)


@app.command()
def record() -> None:
    """Record the edit that lessons 00 and 07 inspect, with the shipped model."""
    from flowedit.lessons import record as recorder

    size = recorder.save(recorder.make(), recorder.FOLDER)
    typer.echo(f"{recorder.FOLDER.name}: {size / 1e6:.2f} MB")


@app.command()
def pictures(target: Path = typer.Argument(Path("docs/img/lessons"), help="Folder to write.")) -> None:  # noqa: B008
    """Write the main picture of each lesson, as its notebook keeps it, into the documentation."""
    from notebooks.publish import run as runner

    for path in runner.write_pictures(FOLDER, target):
        typer.echo(path)


@app.command()
def site(target: Path = typer.Argument(Path("site"), help="Folder to write.")) -> None:  # noqa: B008
    """Run every lesson and write a static site whose widgets work with no kernel and no network."""
    from notebooks.publish import site as publisher

    for path in publisher.write_site(FOLDER, target):
        typer.echo(path)


@app.command("binder-check")
def binder_check(
    packages: str = typer.Option("fetch", help="fetch: install all anew; borrow: use those here."),
) -> None:
    """Build what Binder builds in a fresh virtual environment and run lesson 00 in it, offline, within 2 GB."""
    from flowedit.errors import OutputError
    from notebooks.publish import binder

    typer.echo("Building the environment anew, which takes minutes, then running lesson 00 in it.")
    try:
        typer.echo(binder.check(Path.cwd(), borrow=packages == "borrow"))
    except OutputError as error:
        typer.echo(f"binder-check: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
