"""Where and how a batch runs; nothing here takes time to import."""

from dataclasses import dataclass

FOUND_OUT = ("keyframes", "output", "settings", "overwrite", "resume", "spread", "styling")
"""Attributes of a request that the batch finds out."""
STYLE = ("style", "style_image", "describe", "backend")
"""What a line says of keyframes that are to be painted."""


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Where and how a batch runs.

    Attributes:
        address: a Ray cluster whose nodes share the folders: HOST:PORT, or auto for the one that this machine is in;
            this machine alone unless given.
        gpus_per_edit: GPUs of one edit, which share each step if there are several; one where there are any.
        cpus_per_edit: processor cores of one edit; an even share of a GPU's machine, else one.
        retries: how often a clip that failed is tried again, this time and later; then it is set aside.
        max_usd: most US dollars that all painted keyframes of the batch may cost, earlier calls of it included.
    """

    address: str | None = None
    gpus_per_edit: int | None = None
    cpus_per_edit: int | None = None
    retries: int = 2
    max_usd: float = 2.0
