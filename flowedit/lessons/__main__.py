"""`python -m flowedit.lessons build | run | site | binder-check | record`: make, run and publish the lessons."""

from pathlib import Path

import typer

app = typer.Typer(add_completion=False, help="Make, run and publish the lessons.")
FOLDER = Path("notebooks")


@app.command()
def build() -> None:
    """Make the student and solution notebooks from their sources."""
    from flowedit.lessons import build as builder

    for path in builder.build(FOLDER):
        typer.echo(path)


@app.command()
def run(numbers: list[str] = typer.Argument(None, help="Lessons, such as 01 02; all when none is given.")) -> None:  # noqa: B008
    """Run lessons offline; write measured minutes, memory and kept outputs into their notebooks."""
    from flowedit.lessons import run as runner

    for lesson, taken in runner.run(FOLDER, numbers or []):
        typer.echo(f"{lesson.stem}: {taken.seconds:.1f} s, {taken.peak_megabytes:.0f} MB")


if __name__ == "__main__":
    app()
