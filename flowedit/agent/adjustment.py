"""What an objection asks of a look that paints by measures: lighter or darker, another cast, more or less of it."""

import re
from typing import Annotated

import numpy as np
from pydantic import Field

from flowedit.agent.colour import Frozen, Picture, from_lab, to_lab, to_pixels

MOST = 40.0
"""The most that corrections may move lightness or cast, all together, in Lab units."""
_LIGHT, _CAST, _CHROMA, _SHARE = 8.0, 9.0, 1.3, 0.75
_Move = Annotated[float, Field(ge=-100, le=100)]
_Factor = Annotated[float, Field(ge=0.1, le=10)]


class ColourAdjustment(Frozen):
    """How a keyframe is changed after its look was painted, everywhere alike.

    `lightness`, `red` and `yellow` are added to Lab's L, a and b; `chroma` multiplies the colours about grey, and
    `share` the share of the look over its source.
    """

    lightness: _Move = 0.0
    red: _Move = 0.0
    yellow: _Move = 0.0
    chroma: _Factor = 1.0
    share: _Factor = 1.0

    @property
    def moves(self) -> tuple[float, float, float]:
        """What is added to L, a and b."""
        return self.lightness, self.red, self.yellow

    def then(self, other: "ColourAdjustment") -> "ColourAdjustment":
        """Both, one after the other, within what leaves a picture of it."""
        added = (one + more for one, more in zip(self.moves, other.moves, strict=True))
        lightness, red, yellow = (round(min(max(move, -MOST), MOST), 3) for move in added)
        chroma, share = min(max(self.chroma * other.chroma, 0.3), 3.0), min(max(self.share * other.share, 0.1), 10.0)
        return ColourAdjustment(lightness=lightness, red=red, yellow=yellow, chroma=chroma, share=share)

    def reverse(self) -> "ColourAdjustment":
        """The opposite."""
        moves = {"lightness": -self.lightness, "red": -self.red, "yellow": -self.yellow}
        return ColourAdjustment(**moves, chroma=1 / self.chroma, share=1 / self.share)

    def words(self) -> str:
        """What it does to light and cast, for a model that draws from words; empty where it does nothing."""
        ways = ("lighter", "darker"), ("redder", "greener"), ("yellower", "bluer")
        moves = zip(self.moves, ways, strict=True)
        return " and ".join(f"{way[by < 0]} by {abs(by):.0f}" for by, way in moves if abs(by) >= 1)

    def apply(self, picture: Picture) -> Picture:
        """The picture with its light and colours moved; its share of the look is not its business."""
        if not any(self.moves) and self.chroma == 1:
            return picture
        lab = to_lab(picture) * np.array([1, self.chroma, self.chroma], np.float32) + np.array(self.moves, np.float32)
        lab[..., 0] = np.clip(lab[..., 0], 0, 100)
        return to_pixels(from_lab(lab))


_QUALITIES = {
    r"dark|dim|gloom": ColourAdjustment(lightness=-_LIGHT),
    r"bright|light|pale|wash(?:ed|y)|overexposed": ColourAdjustment(lightness=_LIGHT),
    r"redd?|pink": ColourAdjustment(red=_CAST),
    r"green": ColourAdjustment(red=-_CAST),
    r"yellow": ColourAdjustment(yellow=_CAST),
    r"blue?": ColourAdjustment(yellow=-_CAST),
    r"purple|violet|magenta": ColourAdjustment(red=_CAST, yellow=-_CAST),
    r"orange|warm": ColourAdjustment(red=_CAST / 2, yellow=_CAST),
    r"cold|cool|cyan|teal": ColourAdjustment(red=-_CAST / 2, yellow=-_CAST),
    r"colou?rful|saturat(?:ed|ion)|vivid|garish|gaudy": ColourAdjustment(chroma=_CHROMA),
    r"dull|gr[ae]y|muted|drab|colou?rless|desaturated": ColourAdjustment(chroma=1 / _CHROMA),
    r"strong|heavy|rough|harsh|coarse|busy|overdone|exaggerated": ColourAdjustment(share=1 / _SHARE),
    r"weak|faint|subtle|timid|soft|gentle": ColourAdjustment(share=_SHARE),
}
"""Words for a quality, and what brings more of it."""


def heard(objection: str) -> ColourAdjustment | None:
    """What a sentence asks for, in the words of light, colour and strength; None where it has none of them.

    A quality that is simply named is objected to; "more", "-er" and "not" ask for it.

    >>> heard("The sky is too dark").lightness, heard("make it darker").lightness
    (8.0, -8.0)
    >>> heard("not warm enough").yellow, heard("its sky is green").red, heard("the ear is missing")
    (9.0, 9.0, None)
    """
    found: ColourAdjustment | None = None
    for words, towards in _QUALITIES.items():
        pattern = rf"\b(too\s+(?:\w+\s+)?|less\s+|more\s+|not\s+)?(?:{words})(e?r|ier)?\b(\s+enough)?"
        for before, comparative, enough in re.findall(pattern, objection.lower()):
            asked = comparative or enough or before.startswith(("more", "not"))
            wanted = asked and not before.startswith(("too", "less"))
            step = towards if wanted else towards.reverse()
            found = step if found is None else found.then(step)
    return found
