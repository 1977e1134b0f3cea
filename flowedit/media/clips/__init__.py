"""Two short clips that come with the package, free to use; `CARD.md` beside them says whose photographs they show."""

from pathlib import Path
from typing import Literal

ShippedClip = Literal["coffee", "mountain"]
FOLDER = Path(__file__).parent


def shipped_clip(name: ShippedClip) -> Path:
    """The file of a clip, by its name."""
    return FOLDER / f"{name}.mp4"
