"""The options of a command, made from a dataclass: one place says name, type, default and meaning of a setting."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer

from flowedit.errors import SettingError

Number = TypeVar("Number", int, float)


def with_options(**groups: Sequence[inspect.Parameter]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these options after its own; each group reaches it as a mapping, under the group's name."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def called(**values: Any) -> None:  # noqa: ANN401 - what the dataclasses hold
            given = {name: {one.name: values.pop(one.name) for one in group} for name, group in groups.items()}
            command(**values, **given)

        signature = inspect.signature(command)
        own = [one for name, one in signature.parameters.items() if name not in groups]
        options = [one for group in groups.values() for one in group]
        vars(called)["__signature__"] = signature.replace(parameters=[*own, *options])
        return called

    return decorate


def options_of(
    source: Callable[..., Any],
    only: Collection[str] = (),
    *,
    but: Collection[str] = (),
    called: Mapping[str, str] | None = None,
    unset: bool = False,
) -> list[inspect.Parameter]:
    """An option for each attribute of a dataclass, or parameter of a function, whose docstring says what it means.

    One that is annotated for typer is taken as it is. `called` names options otherwise than their attributes; with
    `unset`, None is handed on where nothing is given: the default follows from something else.
    """
    said, called = _meanings(source), called or {}
    return [
        _option(one, said.get(one.name, ""), called.get(one.name, one.name), unset=unset)
        for one in inspect.signature(source).parameters.values()
        if (not only or one.name in only) and one.name not in but
    ]


def _option(one: inspect.Parameter, meaning: str, name: str, *, unset: bool) -> inspect.Parameter:
    if get_origin(one.annotation) is Annotated:
        return one
    kind, more = _plain(one.annotation), {}
    if get_origin(kind) is Literal:
        choices, kind = get_args(kind), str
        if not all(choice in meaning.lower() for choice in choices):
            meaning = f"{meaning} One of {', '.join(choices)}."
    elif kind == tuple[int, int]:
        kind, more = str, {"parser": parse_size, "metavar": "HEIGHTxWIDTH"}
    elif isinstance(kind, str):  # several of something that another module reads
        kind = list[str]
    default = None if unset or not isinstance(one.default, str | int | float) else one.default
    option = typer.Option(f"--{name.replace('_', '-')}", help=meaning, **more)
    annotation = Annotated[bool if kind is bool else kind | None, option]
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _plain(annotation: Any) -> Any:  # noqa: ANN401 - a type, or the name of one
    """A type without its None."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    return next(kind for kind in get_args(annotation) if kind is not type(None))


def _meanings(source: Callable[..., Any]) -> dict[str, str]:
    """What a docstring's first section says of each name, as sentences."""
    section = re.search(r"^(?:Attributes|Args):\n((?:    .*\n|\n)*)", f"{inspect.getdoc(source)}\n", re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", section[1] if section else "", re.MULTILINE)
    words = {name: " ".join(text.split()).rstrip(".") for name, text in entries}
    return {name: f"{text[0].upper()}{text[1:]}.".replace("`", "") for name, text in words.items()}


def parse_size(text: str) -> tuple[int, int]:
    """`96x176` as (height, width)."""
    if not (sides := re.fullmatch(r"\s*([0-9]{1,5})\s*x\s*([0-9]{1,5})\s*", text.lower())):
        raise SettingError(f"--size is {text!r}; give height x width, such as 480x832.")
    return int(sides[1]), int(sides[2])


def parse_numbers(text: str | None, option: str, kind: Callable[[str], Number], example: str) -> tuple[Number, ...]:
    """`2,5,10` as numbers, each once; nothing where nothing was given."""
    if text is None:
        return ()
    try:
        numbers = tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if not numbers or len(set(numbers)) < len(numbers):
        raise SettingError(f"{option} is {text!r}; give different numbers with commas, such as {example}.")
    return numbers
