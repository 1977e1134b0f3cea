"""Import a library without what it names at the top of its files and needs only later, or never.

diffsynth's Wan pipeline names transformers, torchvision, pandas and a compiled attention in its files, and an edit uses
none of them; loading them costs more time than an edit with the small model. Here they are loaded at their first use.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar, cast

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


class Deferred:
    """Stands for a value that takes long to make, and makes it when it is first used.

    It can be called, asked for attributes, used as a base class, and on the right of `isinstance`.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        """Remember how the value is made."""
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the value returns
        """Call the value."""
        return self._make()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the value
        """An attribute of the value."""
        if name.startswith("__"):  # what Python asks of every object: the stand-in's own answer will do
            raise AttributeError(name)
        return getattr(self._make(), name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        """The value itself, where a class is derived from it."""
        return (self._make(),)

    def __instancecheck__(self, instance: object) -> bool:
        """Whether something is an instance of the value."""
        return isinstance(instance, self._make())


class DeferredModule(ModuleType):
    """Stands for a module: every name of it is a `Deferred`."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any name of the module
        """A name of the module, loaded when it is used."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Deferred(lambda: getattr(import_module(self.__name__), name))


@contextmanager
def deferring(*modules: str) -> Iterator[None]:
    """Within the block, an import of these modules, or of what lies in them, gives stand-ins, and nothing is compiled.

    What is already loaded stays what it is. After the block an import gives the real modules again.

    Args:
        modules: full names, such as `transformers`.
    """
    finder = _Finder([name for name in modules if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        with _compiling_later():
            yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, DeferredModule)]:
            del sys.modules[name]


@contextmanager
def _compiling_later() -> Iterator[None]:
    """Within the block, `torch.compile` and `torch._dynamo.disable` wait for the first call of what they are given.

    Both would load the compiler, seconds of work. Where it is loaded, they are left alone.
    """
    if "torch._dynamo" in sys.modules:
        yield
        return
    compile_now = torch.compile
    torch.compile = partial(_later, compile_now)
    torch._dynamo = SimpleNamespace(disable=partial(_later, lambda function: torch._dynamo.disable(function)))
    try:
        yield
    finally:
        torch.compile = compile_now
        del torch._dynamo


def _later(wrap: Callable[..., Function], function: Function, **options: Any) -> Function:  # noqa: ANN401
    """`wrap(function, **options)`, made at the first call."""
    made: list[Function] = []

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the function's own
        if not made:
            made.append(wrap(function, **options))
        return made[0](*arguments, **named)

    return cast("Function", call)


class _Finder(MetaPathFinder, Loader):
    """Answers for the modules that shall wait."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(modules)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """A stand-in for a module that shall wait; None leaves the others to Python."""
        del path, target
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in self._modules):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The stand-in."""
        return DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it is filled when it is used."""
