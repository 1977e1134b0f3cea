"""Importing costs nothing until a name is used; every public name and every example in a docstring works."""

import doctest
import importlib
import os
from pathlib import Path

import pytest
from fresh import fresh

import flowedit

HEAVY = ("torch", "diffsynth", "langgraph", "langchain_core", "anywidget", "ipywidgets", "numpy", "cv2", "av", "PIL")
LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
LIGHT_MODULES = ("errors", "settings", "flow", "schedule", "frames", "correction", "trace", "presets", "models", "toy")


def loaded_by(statement):
    """Top-level modules in a fresh interpreter after a statement."""
    return set(fresh(f"import sys; {statement}; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"))


def test_importing_flowedit_loads_no_heavy_library():  # catches: an eager import among the public names
    assert loaded_by("import flowedit").isdisjoint(HEAVY)


def test_the_convention_loads_without_torch_or_a_vendor():  # catches: a lesson on NumPy that costs two gigabytes
    statement = "; ".join(f"import flowedit.{module}" for module in LIGHT_MODULES)
    assert loaded_by(statement).isdisjoint((set(HEAVY) | {"matplotlib"}) - {"numpy"})


def test_the_editor_loads_without_a_vendor():  # catches: diffsynth above its floor
    loaded = loaded_by("import flowedit.edit.steps")
    assert "torch" in loaded
    assert loaded.isdisjoint({"diffsynth", "transformers", "langgraph", "anywidget"})


def faults_of_fresh_memory(statement, wish=None):
    """Pages that the system had to hand out one by one while torch filled fresh memory, after a statement."""
    touch = "a = usage(); torch.ones(12_000_000); print(usage() - a)"
    usage = "usage = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt"
    code = f"import resource; {statement}; import torch; {usage}; torch.ones(1); {touch}"
    (count,) = fresh(code, environment={"THP_MEM_ALLOC_ENABLE": wish})
    return int(count)


@pytest.mark.skipif(
    not LARGE_PAGES.exists() or "[never]" in LARGE_PAGES.read_text(), reason="this system has no large pages"
)
def test_torch_takes_large_pages_after_importing_flowedit():
    """Catches torch asking before the wish is there, and a user's own wish overruled."""
    pages = 12_000_000 * 4 // 4096
    assert faults_of_fresh_memory("import flowedit") < pages / 10
    if "[madvise]" in LARGE_PAGES.read_text():
        assert faults_of_fresh_memory("import flowedit", "0") > pages / 2


@pytest.mark.parametrize("name", flowedit.__all__)
def test_every_public_name_exists_and_is_documented(name):  # catches: a name that moved
    assert getattr(flowedit, name).__doc__
    assert name in dir(flowedit)


def test_the_names_are_those_that_type_checkers_see():  # catches: a lazy name left out of one of the three lists
    lazy = {name for names in flowedit._HOMES.values() for name in names}
    assert lazy == set(flowedit.__all__)
    source = Path(flowedit.__file__).read_text(encoding="utf-8")
    block = source[source.index("if TYPE_CHECKING") : source.index("__version__")]
    assert all(f" {name}" in block for name in lazy)


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(AttributeError, match=r"flowedit has no 'edit_vidio'; it offers .*edit_video"):
        _ = flowedit.edit_vidio


@pytest.mark.parametrize(
    "module", ["flow", "schedule", "frames", "correction", "trace", "methods.latentops", "show.display"]
)
def test_the_examples_in_docstrings_run(module):  # catches: an example that has drifted from the code
    results = doctest.testmod(importlib.import_module(f"flowedit.{module}"))
    assert results.failed == 0
    assert results.attempted > 0


def test_a_command_computes_alike_on_any_number_of_cores(monkeypatch):
    """Catches threads that are set once NumPy is there: an edit then differed from machine to machine by 25 levels."""
    for name in [name for name in os.environ if name.startswith(("OMP_", "OPENBLAS_"))]:
        monkeypatch.delenv(name)
    code = "import sys, flowedit.cli; print('numpy' in sys.modules); import flowedit.cli.main, os"
    assert fresh(f"{code}; print(os.environ['OPENBLAS_NUM_THREADS'])") == ["False", "1"]
