"""The editing methods that run a model, by name: adding one is a new file, a line here and its name in `settings`.

A method takes an `EditProblem`, and the latents that a stopped run carried where it goes on with one, and yields a
`State` per Euler step.
"""

from collections.abc import Callable, Iterator, Mapping

from flowedit.methods.branches import State
from flowedit.methods.coupled import coupled
from flowedit.methods.difference import difference
from flowedit.methods.refine import refine

METHODS: Mapping[str, Callable[..., Iterator[State]]] = {
    "coupled": coupled,
    "difference": difference,
    "refine": refine,
}
