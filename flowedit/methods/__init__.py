"""The editing methods, and the classical ones beside them, by name.

A latent method takes an `EditProblem` and yields a `Step` per Euler step; a classical one takes the frames and the
keyframes and returns frames at once. Adding one is a new file and a line here. A latent method is loaded when it is
first taken, for it needs torch, and a guess can be made while that loads.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit.errors import SettingError
from flowedit.estimate.blend import classical_guess
from flowedit.estimate.colour_map import colour_map
from flowedit.estimate.propagation import propagation

if TYPE_CHECKING:
    from flowedit.methods.branches import EditProblem, Step

LatentMethod = Callable[..., "Iterator[Step]"]
"""An `EditProblem`, and for a run that goes on the `Begun` it left, to the steps."""
ClassicalMethod = Callable[[np.ndarray, Mapping[int, np.ndarray]], np.ndarray]


class _Loading(dict[str, Any]):
    """Functions by name; one is loaded from the module of its name when it is first taken."""

    def __getitem__(self, name: str) -> LatentMethod:
        """The function."""
        value = super().__getitem__(name)
        return getattr(import_module(value), name) if isinstance(value, str) else value


METHODS: Mapping[str, LatentMethod] = _Loading(
    coupled="flowedit.methods.coupled",
    difference="flowedit.methods.difference",
)
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


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class of `branches`
    """What a latent method takes and yields, loaded when it is first asked for.

    Raises:
        AttributeError: no such name.
    """
    if name not in ("EditProblem", "Step"):
        raise AttributeError(f"flowedit.methods has no {name!r}; it offers {', '.join(__all__)}.")
    return getattr(import_module("flowedit.methods.branches"), name)
