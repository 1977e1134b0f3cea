"""What an objection asks of a look that paints by measures: lighter or darker, another cast, more or less of it."""

import re
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict, Field

Picture = UInt8[np.ndarray, "_H _W 3"]
Move = Annotated[float, Field(ge=-100, le=100)]
Factor = Annotated[float, Field(ge=0.1, le=10)]

_MOST = 40.0
_LIGHT, _CAST, _CHROMA, _SHARE = 8.0, 9.0, 1.3, 0.75


class Nudge(BaseModel):
    """How a keyframe is changed after its look was painted, everywhere alike.

    Attributes:
        lightness: added to Lab's L.
        red: added to Lab's a: red above 0, green below.
        yellow: added to Lab's b: yellow above 0, blue below.
        chroma: what the colours are multiplied by, about grey.
        share: what the share of the look over its source is multiplied by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lightness: Move = 0.0
    red: Move = 0.0
    yellow: Move = 0.0
    chroma: Factor = 1.0
    share: Factor = 1.0

    def then(self, other: "Nudge") -> "Nudge":
        """Both, one after the other, within what leaves a picture of it."""
        return Nudge(
            lightness=_within(self.lightness + other.lightness),
            red=_within(self.red + other.red),
            yellow=_within(self.yellow + other.yellow),
            chroma=min(max(self.chroma * other.chroma, 0.3), 3.0),
            share=min(max(self.share * other.share, 0.1), 10.0),
        )

    def reverse(self) -> "Nudge":
        """The opposite."""
        moves = {"lightness": -self.lightness, "red": -self.red, "yellow": -self.yellow}
        return Nudge(**moves, chroma=1 / self.chroma, share=1 / self.share)

    def words(self) -> str:
        """What it does, for a model that draws from words; empty where it does nothing."""
        parts = [
            f"{name} by {abs(value):.0f}"
            for value, names in (
                (self.lightness, ("lighter", "darker")),
                (self.red, ("redder", "greener")),
                (self.yellow, ("yellower", "bluer")),
            )
            if abs(value) >= 1
            for name in (names[0] if value > 0 else names[1],)
        ]
        return " and ".join(parts)

    def apply(self, picture: Picture) -> Picture:
        """The picture with its light and colours moved; its share of the look is not its business."""
        moves = np.array([self.lightness, self.red, self.yellow], np.float32)
        if not moves.any() and self.chroma == 1:
            return picture
        lab = cv2.cvtColor(picture.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
        lab = lab * np.array([1, self.chroma, self.chroma], np.float32) + moves
        lab[..., 0] = np.clip(lab[..., 0], 0, 100)
        return np.rint(np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1) * np.float32(255)).astype(np.uint8)


_QUALITIES = {
    r"dark|dim|gloom": Nudge(lightness=-_LIGHT),
    r"bright|light|pale|wash(?:ed|y)|overexposed": Nudge(lightness=_LIGHT),
    r"redd?|pink": Nudge(red=_CAST),
    r"green": Nudge(red=-_CAST),
    r"yellow": Nudge(yellow=_CAST),
    r"blue?": Nudge(yellow=-_CAST),
    r"purple|violet|magenta": Nudge(red=_CAST, yellow=-_CAST),
    r"orange|warm": Nudge(red=_CAST / 2, yellow=_CAST),
    r"cold|cool|cyan|teal": Nudge(red=-_CAST / 2, yellow=-_CAST),
    r"colou?rful|saturat(?:ed|ion)|vivid|garish|gaudy": Nudge(chroma=_CHROMA),
    r"dull|gr[ae]y|muted|drab|colou?rless|desaturated": Nudge(chroma=1 / _CHROMA),
    r"strong|heavy|rough|harsh|coarse|busy|overdone|exaggerated": Nudge(share=1 / _SHARE),
    r"weak|faint|subtle|timid|soft|gentle": Nudge(share=_SHARE),
}
"""Words for a quality, and what brings more of it."""


def heard(objection: str) -> Nudge | None:
    """What a sentence asks for, in the words of light, colour and strength; None where it has none of them.

    A quality that is simply named is objected to; "more", "-er" and "not" ask for it.

    Args:
        objection: what a person or a model said.

    >>> heard("The sky is too dark").lightness, heard("make it darker").lightness
    (8.0, -8.0)
    >>> heard("not warm enough").yellow, heard("its sky is green").red, heard("the ear is missing")
    (9.0, 9.0, None)
    """
    found: Nudge | None = None
    text = objection.lower()
    for words, towards in _QUALITIES.items():
        pattern = rf"\b(too\s+(?:\w+\s+)?|less\s+|more\s+|not\s+)?(?:{words})(e?r|ier)?\b(\s+enough)?"
        for before, comparative, enough in re.findall(pattern, text):
            asked = comparative or enough or before.startswith(("more", "not"))
            wanted = asked and not before.startswith(("too", "less"))
            step = towards if wanted else towards.reverse()
            found = step if found is None else found.then(step)
    return found


def _within(value: float) -> float:
    return round(min(max(value, -_MOST), _MOST), 3)
