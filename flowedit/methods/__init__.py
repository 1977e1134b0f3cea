"""The editing methods, and the classical ones beside them, by name.

A latent method takes an `EditProblem` and yields a `Step` per Euler step; a classical one takes the frames and the
keyframes and returns frames at once. Adding one is a new file and a line here.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from flowedit.errors import SettingError
from flowedit.methods.branches import EditProblem, Step
from flowedit.methods.colour_map import colour_map
from flowedit.methods.coupled import coupled
from flowedit.methods.difference import difference
from flowedit.methods.guess import classical_guess
from flowedit.methods.propagation import propagation

LatentMethod = Callable[..., Iterator[Step]]
"""An `EditProblem`, and for a run that goes on the `Begun` it left, to the steps."""
ClassicalMethod = Callable[[np.ndarray, Mapping[int, np.ndarray]], np.ndarray]

METHODS: Mapping[str, LatentMethod] = {"coupled": coupled, "difference": difference}
CLASSICAL: Mapping[str, ClassicalMethod] = {
    "colour-map": colour_map,
    "propagation": propagation,
    "guess": classical_guess,
}

__all__ = ["CLASSICAL", "METHODS", "ClassicalMethod", "EditProblem", "LatentMethod", "Step", "check_method"]


def check_method(name: str) -> None:
    """Refuse a method that does not exist, listing those that do."""
    if name not in METHODS and name not in CLASSICAL:
        raise SettingError(f"method is {name!r}; use one of {', '.join([*METHODS, *CLASSICAL])}.")
