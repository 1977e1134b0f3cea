"""`python -m notebooks.publish COMMAND`: make and publish the lessons, and the pictures of the documentation."""

from pathlib import Path

import typer

app = typer.Typer(add_completion=False, help="Make, run and publish the lessons.")


@app.command()
def build() -> None:
    """Make the student and solution notebooks from their sources, and the figures that lessons read."""
    from notebooks.publish import build, record

    record.keep_figures()
    for path in build.build():
        typer.echo(path)


@app.command()
def run(numbers: list[str] = typer.Argument(None, help="Lessons, such as 01 02; all when none is given.")) -> None:  # noqa: B008
    """Run lessons offline; write measured minutes, memory and kept outputs into their notebooks."""
    from notebooks.publish.run import run

    for lesson, taken, _ in run(numbers or []):
        typer.echo(f"{lesson.stem}: {taken.seconds} s, {taken.peak_megabytes} MB")


@app.command()
def site(
    target: Path = typer.Argument(Path("site"), help="Folder to write."),  # noqa: B008
    numbers: list[str] = typer.Option([], "--only", help="Lessons, such as 01; all when none is given."),  # noqa: B008
) -> None:
    """Run lessons as `run` does, and write a static site whose widgets work with no kernel and no network."""
    from notebooks.publish.run import run
    from notebooks.publish.site import write_frame, write_lesson

    for lesson, _, notebook in run(numbers):
        typer.echo(write_lesson(notebook, lesson, target))
    for path in write_frame(target):
        typer.echo(path)


@app.command()
def record() -> None:
    """Record what lessons show of the shipped model: an edit, the rows of the open task, what each idea changes."""
    from flowedit.lessons.scoring import UNSEEN
    from notebooks.publish import ideas, record

    record.save(*record.make())
    UNSEEN.write_text(record.unseen(), encoding="utf-8")
    ideas.make()


@app.command()
def lite(target: Path = typer.Argument(Path("build/lite"), help="Folder to write.")) -> None:  # noqa: B008
    """Write lessons 01 and 02 as `jupyter lite build` takes them: `content/` and `wheels/`."""
    from notebooks.publish.lite import prepare

    typer.echo(prepare(target))


@app.command()
def front(run: Path = typer.Argument(Path("runs/demo"), help="Folder of `flowedit demo`.")) -> None:  # noqa: B008
    """Make the moving picture that opens the README."""
    from notebooks.publish import pictures

    typer.echo(pictures.front(run))


@app.command()
def looks() -> None:
    """Make the sheet of looks, from the package's own functions."""
    from notebooks.publish import pictures

    typer.echo(pictures.looks())


if __name__ == "__main__":
    app()
