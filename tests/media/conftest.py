"""Shapes are checked here as in the unit tests, by the same hook."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import jaxtyping

if "flowedit" not in sys.modules:
    jaxtyping.install_import_hook("flowedit", "typechecking.checked")
