"""Planted mistakes: a module of the package with a line or two changed, loaded beside the real one."""

import importlib
import sys
import types
from pathlib import Path


def mutant(module_name, *changes):
    """The module with each (right, wrong) replaced; fails when the source no longer says the right one once."""
    module = importlib.import_module(module_name)
    source = Path(module.__file__).read_text(encoding="utf-8")
    for right, wrong in changes:
        assert source.count(right) == 1, f"{module_name} says {right!r} {source.count(right)} times; plant it anew"
        source = source.replace(right, wrong)
    changed = types.ModuleType(f"{module_name}_mutant")
    changed.__file__, changed.__package__ = module.__file__, module.__package__
    sys.modules[changed.__name__] = changed  # dataclasses look their own module up
    try:
        exec(compile(source, module.__file__, "exec"), changed.__dict__)
    finally:
        del sys.modules[changed.__name__]
    return changed
