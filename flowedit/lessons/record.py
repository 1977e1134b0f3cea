"""A recorded edit: what the lessons inspect at once, made by the shipped model through the package's own calls.

A recording is a folder of WebP strips (frames one below the other) and one JSON file. A live run is put into the same
form, so that every cell takes either.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flowedit.errors import OutputError
from flowedit.keyframes import Keyframe
from flowedit.result import EditResult
from flowedit.trace import Trace

FOLDER = Path(__file__).parent / "recorded"
"""The recording that comes with the package."""
_RUN, _QUALITY = "run.json", 90


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedEdit:
    """An edit with all that a lesson looks at, live or recorded.

    Attributes:
        source: the clip, uint8 (F, H, W, 3).
        frames: the edited clip, same shape.
        keyframes: the styled keyframes.
        trace: readings of every step.
        manifest: settings, model, timings.
        events: what the keyframe agent did, as plain values; empty where the keyframes came from elsewhere.
        note: "recorded" or "live", and the model: to be shown on every picture of it.
    """

    source: np.ndarray
    frames: np.ndarray
    keyframes: tuple[Keyframe, ...]
    trace: Trace
    manifest: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    note: str = "live, small model"

    @property
    def clips(self) -> dict[str, np.ndarray]:
        """Source and edit by name, as `FrameScrubber` takes them."""
        return {"source": self.source, "edited": self.frames}

    @property
    def indices(self) -> tuple[int, ...]:
        """Pixel frames of the keyframes."""
        return tuple(keyframe.index for keyframe in self.keyframes)


def live(result: EditResult, events: Sequence[dict[str, Any]] = ()) -> RecordedEdit:
    """A run that was just made, in the form of a recording."""
    return RecordedEdit(
        source=result.source,
        frames=result.frames,
        keyframes=result.keyframes,
        trace=result.trace,
        manifest=result.manifest(),
        events=list(events),
        note=f"live, model {result.model}",
    )


def save(edit: RecordedEdit, folder: Path) -> int:
    """Write a recording.

    Args:
        edit: the edit.
        folder: made if need be.

    Returns:
        Bytes written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = np.stack([keyframe.image for keyframe in edit.keyframes])
    for name, frames in (("source", edit.source), ("edited", edit.frames), ("keyframes", images)):
        strip = Image.fromarray(frames.reshape(-1, *frames.shape[2:]))
        strip.save(folder / f"{name}.webp", "WEBP", quality=_QUALITY, method=6)
    values = {
        "keyframes": list(edit.indices),
        "trace": edit.trace.to_dict(),
        "manifest": edit.manifest,
        "events": edit.events,
    }
    (folder / _RUN).write_text(json.dumps(values) + "\n", encoding="utf-8")
    return sum(path.stat().st_size for path in folder.iterdir())


def recorded(folder: Path = FOLDER) -> RecordedEdit:
    """The recorded edit that comes with the package.

    Raises:
        OutputError: there is no whole recording in the folder.
    """
    try:
        values = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        height = int(values["manifest"]["height"])
        source, edited, images = (_strip(folder / f"{name}.webp", height) for name in ("source", "edited", "keyframes"))
    except (OSError, KeyError, ValueError) as error:
        raise OutputError(
            f"No whole recording in {folder.name}; make one with `python -m notebooks.publish record`."
        ) from error
    return RecordedEdit(
        source=source,
        frames=edited,
        keyframes=tuple(Keyframe(i, image) for i, image in zip(values["keyframes"], images, strict=True)),
        trace=Trace.from_dict(values["trace"]),
        manifest=values["manifest"],
        events=values["events"],
        note=f"recorded, model {values['manifest']['model']}",
    )


def make() -> RecordedEdit:
    """Style keyframes of the lessons' clip with the agent, offline, and edit it step by step with the shipped model."""
    from flowedit.agent.events import read_record
    from flowedit.agent.run import style_video
    from flowedit.agent.sample import frames_source
    from flowedit.agent.settings import StyleSettings
    from flowedit.edit import edit_video
    from flowedit.lessons.material import clip, small_model
    from flowedit.presets import preset_settings

    frames = clip().frames
    with tempfile.TemporaryDirectory() as folder:
        wanted = StyleSettings(style="watercolour", backend="offline", target_fps=1.5, max_frames=3)
        styled = style_video(frames_source(frames, fps=16), wanted, folder)
        events = [event.model_dump(mode="json") | {"images": []} for event in read_record(folder).events]
    keyframes = [Keyframe(i, np.asarray(image)) for i, image in zip(styled.indices, styled.images, strict=True)]
    words = clip().source_prompt
    settings = preset_settings("tiny", "method", prompt=f"watercolour {words}", source_prompt=words)
    return live(edit_video(frames, keyframes, small_model(), settings), events)


def _strip(path: Path, height: int) -> np.ndarray:
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return pixels.reshape(-1, height, *pixels.shape[1:])
