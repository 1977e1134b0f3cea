"""Planted mistakes: a module of the package with one line changed, loaded beside the real one."""

import importlib
import sys
import types
from pathlib import Path


def mutant(module_name, right, wrong):
    """The module with `right` replaced by `wrong`; fails when the source no longer says `right`."""
    module = importlib.import_module(module_name)
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(right) == 1, f"{module_name} says {right!r} {source.count(right)} times; plant the mistake anew"
    changed = types.ModuleType(f"{module_name}_mutant")
    changed.__file__, changed.__package__ = module.__file__, module.__package__
    sys.modules[changed.__name__] = changed  # dataclasses look their own module up
    try:
        exec(compile(source.replace(right, wrong), module.__file__, "exec"), changed.__dict__)
    finally:
        del sys.modules[changed.__name__]
    return changed
