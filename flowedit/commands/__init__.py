"""The commands, one module each; adding one is a file and a line here."""

import typer

from flowedit.commands import bench, models
from flowedit.commands.bench_speed import speed
from flowedit.commands.demo import demo
from flowedit.commands.doctor import doctor
from flowedit.commands.edit import edit
from flowedit.commands.style import style


def register(app: typer.Typer) -> None:
    """Add every command to the command line."""
    for command in (edit, style, demo, doctor):
        app.command()(command)
    bench.app.command()(speed)
    app.add_typer(models.app, name="models")
    app.add_typer(bench.app, name="bench")
