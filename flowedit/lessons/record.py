"""What was recorded for the lessons: an edit to inspect at once, and what each of the method's ideas changes.

Pictures are WebP strips (frames one below the other). `python -m notebooks.publish record` makes all of it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from flowedit.edit.result import EditResult
from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings
from flowedit.trace import Trace

FOLDER = Path(__file__).parent / "recorded"
"""The recording that comes with the package."""
STRIPS = ("source", "edited", "keyframes")
RUN, IDEAS, IDEA_STRIPS = "run.json", "ideas.json", "ideas.webp"


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedEdit(EditResult):
    """An edit that was recorded, and what the keyframe agent did for it."""

    events: list[dict[str, Any]]

    @property
    def note(self) -> str:
        """What to say on every picture of it."""
        return f"recorded, model {self.model}"


class ThreeIdeas(NamedTuple):
    """The small model's edits with each idea on or off, as `CoupledStage` takes them, and what one noise was worth."""

    strips: np.ndarray  # uint8 (8, H, W, 3), five frames side by side
    words: str
    noise: dict[str, Any]

    @property
    def noise_table(self) -> str:
        """What one noise was worth: means over clips, with 95 % intervals."""
        lines = [f"small Wan, {self.noise['clips']} clips, {self.noise['gain']}: one noise minus two, in dB"]
        for route, found in self.noise["rows"].items():
            far, key = ("{:+.2f} [{:+.2f}, {:+.2f}]".format(*found[name]) for name in ("psnr_far", "psnr_key"))
            moved = "{:.2f} and {:.2f} levels of 255".format(*found["unpainted"])
            lines.append(f"  {route}: far {far}, at keyframes {key}; unpainted, the clip moves by {moved}")
        return "\n".join(lines)


def three_ideas() -> ThreeIdeas:
    """The record of the three ideas that comes with the package."""
    values = json.loads((FOLDER / IDEAS).read_text(encoding="utf-8"))
    return ThreeIdeas(_strip(FOLDER / IDEA_STRIPS, values["height"]), values["words"], values["noise"])


def recorded(folder: Path = FOLDER) -> RecordedEdit:
    """The recorded edit that comes with the package."""
    values = json.loads((folder / RUN).read_text(encoding="utf-8"))
    about = values["manifest"]
    source, edited, images = (_strip(folder / f"{name}.webp", about["height"]) for name in STRIPS)
    return RecordedEdit(
        source=source,
        frames=edited,
        keyframes=tuple(Keyframe(i, image) for i, image in zip(values["keyframes"], images, strict=True)),
        settings=EditSettings.of(**{name: about["settings"][name] for name in EditSettings().to_dict()}),
        model=about["model"],
        trace=Trace.from_dict(values["trace"]),
        seconds=about["seconds"],
        events=values["events"],
    )


def _strip(path: Path, height: int) -> np.ndarray:
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return pixels.reshape(-1, height, *pixels.shape[1:])
