"""What a look is: a name, the words that mean it, a prompt, and the function that paints it offline."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from flowedit.agent.card import StyleCard

Picture = UInt8[np.ndarray, "H W 3"]
PaintFunction = Callable[[Picture, StyleCard, int], Picture]
"""(picture, card, seed) to the styled picture of the same size; the same arguments give the same bytes."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One offline look.

    Attributes:
        name: what the command line and the API call it.
        title: what a person would call it.
        medium: what it is made with.
        words: lower-case words and phrases in a description that mean this look.
        prompt: what a text-to-video model is told.
        paint: the function that paints.
        pixelwise: whether each pixel's colour alone is changed, so that no frame is too large.
        structure: least similarity of contours to the source that the judge accepts, in [0, 1].
    """

    name: str
    title: str
    medium: str
    words: tuple[str, ...]
    prompt: str
    paint: PaintFunction
    pixelwise: bool = False
    structure: float = 0.35
