"""The demo's inputs: a real clip that comes with the package, and frames of it painted offline in a named look."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from flowedit.agent.painting import analyse, paint
from flowedit.agent.stylers import look_named
from flowedit.files import make_folder
from flowedit.media.clip import read_video, write_image
from flowedit.media.clips import ShippedClip, shipped_clip

AT = (0, 16, 32)


@dataclass(frozen=True, kw_only=True)
class DemoInputs:
    """What the demo edits: a clip's file, and index and image file of each styled keyframe."""

    video: Path
    keyframes: list[tuple[int, Path]]


def make_demo(folder: Path, *, style: str, clip: ShippedClip) -> DemoInputs:
    """Write `source.mp4` and `keyframes/` into a folder, which is made if need be.

    Args:
        folder: where they go.
        style: a look that is painted offline, such as `oil`.
        clip: which of the package's clips.

    Raises:
        SettingError: no look of that name.
    """
    look, pictures = look_named(style), make_folder(folder / "keyframes")
    video = Path(shutil.copy(shipped_clip(clip), folder / "source.mp4"))
    frames = [read_video(video, start=index, num_frames=1).frames[0] for index in AT]
    card, files = analyse(frames, look, None), [(index, pictures / f"frame-{index:04d}.png") for index in AT]
    for frame, (_, path) in zip(frames, files, strict=True):
        write_image(path, paint(frame, card, 0, 1.0))
    return DemoInputs(video=video, keyframes=files)
