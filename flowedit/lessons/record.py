"""The recorded edit, which lessons inspect at once: WebP strips (frames one below the other) and one JSON file.

`python -m notebooks.publish record` makes it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flowedit.errors import OutputError
from flowedit.keyframes import Keyframe
from flowedit.trace import Trace

FOLDER = Path(__file__).parent / "recorded"
"""The recording that comes with the package."""
STRIPS = ("source", "edited", "keyframes")
RUN = "run.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedEdit:
    """An edit with all that a lesson looks at; source and edit are uint8 (F, H, W, 3)."""

    source: np.ndarray
    frames: np.ndarray
    keyframes: tuple[Keyframe, ...]
    trace: Trace
    manifest: dict[str, Any]  # settings, model, timings
    events: list[dict[str, Any]]  # what the keyframe agent did
    note: str  # "recorded" and the model, to be shown on every picture of it

    @property
    def clips(self) -> dict[str, np.ndarray]:
        """Source and edit by name, as `FrameScrubber` takes them."""
        return {"source": self.source, "edited": self.frames}

    @property
    def indices(self) -> tuple[int, ...]:
        """Pixel frames of the keyframes."""
        return tuple(keyframe.index for keyframe in self.keyframes)


def recorded(folder: Path = FOLDER) -> RecordedEdit:
    """The recorded edit that comes with the package.

    Raises:
        OutputError: there is no whole recording in the folder.
    """
    try:
        values = json.loads((folder / RUN).read_text(encoding="utf-8"))
        height = int(values["manifest"]["height"])
        source, edited, images = (_strip(folder / f"{name}.webp", height) for name in STRIPS)
    except (OSError, KeyError, ValueError) as error:
        cure = "make one with `python -m notebooks.publish record`"
        raise OutputError(f"No whole recording in {folder.name}; {cure}.") from error
    return RecordedEdit(
        source=source,
        frames=edited,
        keyframes=tuple(Keyframe(i, image) for i, image in zip(values["keyframes"], images, strict=True)),
        trace=Trace.from_dict(values["trace"]),
        manifest=values["manifest"],
        events=values["events"],
        note=f"recorded, model {values['manifest']['model']}",
    )


def _strip(path: Path, height: int) -> np.ndarray:
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return pixels.reshape(-1, height, *pixels.shape[1:])
