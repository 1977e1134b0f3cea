"""The commands, one module each; adding one is a file and a line here."""

import typer

from flowedit.commands.demo import demo
from flowedit.commands.edit import edit


def register(app: typer.Typer) -> None:
    """Add every command to the command line."""
    app.command()(edit)
    app.command()(demo)
