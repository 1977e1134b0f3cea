"""Place a model for a run, and try once more with less memory when it runs out."""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

from flowedit.model import ClipShape
from flowedit.models import fits_for
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.wan.lora import Lora
    from flowedit.wan.placement import Placement

T = TypeVar("T")


def run_placed(
    model: str,
    level: str,
    clip: tuple[ClipShape, int, EditSettings],
    announce: Callable[[str], object],
    work: "Callable[[Placement | None], T]",
    loras: "Sequence[Lora]" = (),
) -> T:
    """Do some work with a model placed where it fits; out of memory, once more one level lower.

    Args:
        model: its name.
        level: `auto`, or the only level to try.
        clip: its size, the number of keyframes, and the settings, which say whether those lengthen the sequence.
        announce: called with one line when a second try starts.
        work: takes the placement, None for the small model; it lets go of the model when it fails.
        loras: what is added to the model.

    Raises:
        ModelError: nothing fits, or memory ran out at the last level; the message says what to change.
        SettingError: a level that does not exist.
    """
    shape, keyframes, settings = clip
    joint = keyframes if settings.conditioning in ("tokens", "both") else 0
    fits = fits_for(model, shape=shape, level=level, keyframes=joint, loras=loras)
    if not fits:
        return work(None)
    from flowedit.wan.placement import exhausted, free_memory, is_out_of_memory

    for placement, lower in zip_longest(fits, fits[1:]):
        try:
            return work(placement)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if lower is None:
                raise exhausted(placement, error) from error
        free_memory()
        announce(f"Out of memory at level {placement.level}; trying once more at level {lower.level}.")
    raise AssertionError("the last placement returns or raises")
