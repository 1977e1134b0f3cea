"""What typer refuses, said as flowedit says what it refuses: one line with the value, the rule and the cure."""

from typing import Any

import typer

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What every wrong command line raises. Older versions of typer take it from click, newer ones bring their own."""

_PROGRAM = "flowedit"
_OPENING = "Input should be "
_RULES = {"a valid integer": "a whole number", "a valid number": "a number"}


def usage_line(error: Any) -> str | None:  # noqa: ANN401 - a UsageError, whose class is known at run time alone
    """The line for a command line that typer refused; None where no command was given, which asks for the help.

    Args:
        error: a `UsageError`.

    Returns:
        Such as "--steps is 'abc'; it must be a whole number. See flowedit edit --help."
    """
    context = getattr(error, "ctx", None)
    said = " ".join(error.format_message().split())
    if context is not None and error.message == context.get_help():
        return None
    path = _PROGRAM if context is None else context.command_path
    sentence = _wrong_value(error) or said
    return f"{sentence}{'' if sentence[-1] in '.?' else '.'} See {path} --help."


def _wrong_value(error: Any) -> str | None:  # noqa: ANN401 - a UsageError
    """Option, value and rule, where the error holds them apart: pydantic's, which newer versions of typer pass on."""
    findings = getattr(error.__cause__, "errors", None)
    if findings is None or error.param is None:
        return None
    found = findings()[0]
    rule = found["msg"].removeprefix(_OPENING).split(", ")[0]
    return f"{error.param.opts[0]} is {found['input']!r}; it must be {_RULES.get(rule, rule)}"
