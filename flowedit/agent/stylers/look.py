"""What a look is: a name, the words that mean it, a prompt, and the function that paints it offline."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from flowedit.agent.card import StyleCard

Picture = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One offline look.

    Attributes:
        words: lower-case words and phrases in a description that mean this look.
        prompt: what a text-to-video model is told.
        paint: (picture, card, seed) to the styled picture of the same size; the same arguments give the same bytes.
        pixelwise: whether each pixel's colour alone is changed, so that no frame is too large.
        structure: least similarity of contours to the source that the judge accepts, in [0, 1].
    """

    name: str
    title: str
    medium: str
    words: tuple[str, ...]
    prompt: str
    paint: Callable[[Picture, StyleCard, int], Picture]
    pixelwise: bool = False
    structure: float = 0.35
