"""The command line: parse, call, print. Heavy libraries are imported by the commands that need them, when they run."""

import os
import sqlite3
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from errno import ENAMETOOLONG
from typing import Annotated, Any, NoReturn

import typer

from flowedit import __version__
from flowedit.cli import models
from flowedit.cli.batch import batch
from flowedit.cli.demo import demo
from flowedit.cli.doctor import doctor
from flowedit.cli.edit import edit
from flowedit.cli.frames import frames
from flowedit.cli.progress import printable
from flowedit.cli.style import style
from flowedit.errors import FlowEditError

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What every wrong command line raises. Older versions of typer take it from click, newer ones bring their own."""

_LIMITS = (OSError, MemoryError, sqlite3.Error, ImportError, SystemError)
"""What the machine's limits raise, wherever they are met: libraries that find no memory cannot be imported."""
_RULES = {"a valid integer": "a whole number", "a valid number": "a number"}

app = typer.Typer(
    name="flowedit",
    help="Keyframe-guided video editing by flow matching on Wan video models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (edit, style, batch, frames, demo, doctor):
    app.command()(command)
app.add_typer(models.app, name="models")


def _print_version(value: bool | None) -> None:  # noqa: FBT001 - as typer calls it
    if value:
        typer.echo(f"flowedit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = None,
) -> None:
    """Keyframe-guided video editing by flow matching on Wan video models."""


def _show_warning(message: Warning | str, *_: Any) -> None:  # noqa: ANN401 - where in the code it arose
    """Say what was warned of, in a line, as errors are said."""
    typer.echo(printable(f"warning: {message}"), err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 it did not work out, 2 input that does not fit, 130 interrupted."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            given = list(arguments) if arguments is not None else None
            status = app(args=given, prog_name="flowedit", standalone_mode=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # who read the output has enough; click ends the program for it
        _discard_output()
        sys.exit(141)
    except ModuleNotFoundError:
        raise
    except _LIMITS as error:
        _discard_output()
        said = " ".join((getattr(error, "strerror", None) or str(error) or "out of memory").split())
        cure = "choose a shorter name" if getattr(error, "errno", 0) == ENAMETOOLONG else "free some space or memory"
        _stop(f"this machine cannot go on ({said}); {cure}.", 2)
    except FlowEditError as error:
        _stop(str(error), error.exit_status)
    except UsageError as error:
        _stop(_usage_line(error), 2)
    except typer.Abort:
        _stop("a question was left without an answer; nothing was done.", 1)
    except KeyboardInterrupt:
        status = 130
    if status == 130:
        _stop("interrupted", 130)
    sys.exit(status if isinstance(status, int) else 0)


def _discard_output() -> None:
    """Let go of what could not be written, which Python would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _stop(line: str, status: int) -> NoReturn:
    """Say in one line why there is no result."""
    with suppress(OSError):  # nobody may be there to hear it
        typer.echo(printable(f"flowedit: {line}"), err=True)
    sys.exit(status)


def _usage_line(error: Any) -> str:  # noqa: ANN401 - a UsageError, whose class is known at run time alone
    """Such as "--steps is 'abc'; it must be a whole number. See flowedit edit --help."."""
    context = getattr(error, "ctx", None)
    if context is not None and error.message == context.get_help():  # no command was given, which asks for the help
        typer.echo(error, err=True)
        sys.exit(2)
    # Pydantic's findings, which newer versions of typer pass on, hold option, value and rule apart.
    findings = getattr(error.__cause__, "errors", None)
    if findings is None or error.param is None:
        sentence = " ".join(error.format_message().split())
    else:
        found = findings()[0]
        rule = found["msg"].removeprefix("Input should be ").split(", ")[0]
        if " is not one of " in found["msg"]:
            rule = "one of " + found["msg"].partition(" is not one of ")[2].rstrip(".").replace("'", "")
        sentence = f"{error.param.opts[0]} is {found['input']!r}; it must be {_RULES.get(rule, rule)}"
    path = "flowedit" if context is None else context.command_path
    return f"{sentence}{'' if sentence[-1] in '.?' else '.'} See {path} --help."
