"""The commands, one module each; adding one is a file and a line here."""

import typer

from flowedit.cli import models
from flowedit.cli.demo import demo
from flowedit.cli.doctor import doctor
from flowedit.cli.edit import edit
from flowedit.cli.style import style


def register(app: typer.Typer) -> None:
    """Add every command to the command line."""
    for command in (edit, style, demo, doctor):
        app.command()(command)
    app.add_typer(models.app, name="models")
