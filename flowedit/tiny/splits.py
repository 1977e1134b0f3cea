"""Which random seeds belong to training, validation and test; nobody trains on what is measured."""

from dataclasses import dataclass
from enum import StrEnum

import torch

from flowedit.errors import SettingError

RESERVED = (range(100), range(4000, 5000), range(90_000, 100_000))
"""Seeds of the frozen reference world that training must never use."""


class Split(StrEnum):
    """A part of all scenes and styles."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Share:
    """What belongs to one split.

    Attributes:
        seeds: seeds of scenes.
        keys: interval of the style key, from which hue turn and hatching angle follow.
    """

    seeds: range
    keys: tuple[float, float]


SHARES = {
    Split.TRAIN: Share(range(1_000_000, 2_000_000_000), (0.0, 0.8)),
    Split.VALIDATION: Share(range(200_000, 300_000), (0.8, 0.9)),
    Split.TEST: Share(range(300_000, 400_000), (0.9, 1.0)),
}
"""Seeds and style keys by split: disjoint from one another and from :data:`RESERVED`."""


def generator(split: Split, number: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Seed a random generator within a split.

    Args:
        split: the split.
        number: which of its seeds, from 0.
        device: where the numbers are drawn.

    Returns:
        The generator.

    Raises:
        SettingError: the split has no such seed.
    """
    seeds = SHARES[split].seeds
    if not 0 <= number < len(seeds):
        raise SettingError(f"The {split} split has {len(seeds)} seeds; got number {number}. Use 0 to {len(seeds) - 1}.")
    return torch.Generator(device).manual_seed(seeds[number])
