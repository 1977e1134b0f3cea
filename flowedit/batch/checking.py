"""Check every line of a batch before any work: files, sizes, rates, windows, settings, model and disk."""

import io
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from flowedit.agent.settings import StyleSettings, find_key
from flowedit.batch.manifest import Entry, Rows, entries_of
from flowedit.errors import FlowEditError, KeyframeError, OutputError, SettingError, VideoFileError
from flowedit.keyframes import check_shape
from flowedit.media.clip import VideoInfo
from flowedit.media.glance import glance
from flowedit.media.images import FORMATS
from flowedit.models import checkpoint_files, placements
from flowedit.run.inputs import planned
from flowedit.wan.checkpoints import TINY
from flowedit.wan.memory import existing_parent

_LOOKS = 4
"""Videos looked at side by side: storage that is shared answers late."""
PIXEL_BYTES, LOSSLESS_BYTES = 0.5, 3.0
"""What the results take on the disk a pixel of the window, rather too much."""
_CHILD = """
import pickle, sys
from flowedit.errors import FlowEditError
from flowedit.media import clip
for video in pickle.load(sys.stdin.buffer):
    try:
        said = clip.probe(video)
    except FlowEditError as error:
        said = error
    pickle.dump(said, sys.stdout.buffer)
    sys.stdout.flush()
"""


def checked_entries(
    base: Path, rows: Rows, out: Path, common: Mapping[str, Any], *, mirror: bool = False
) -> list[Entry]:
    """The clips of a batch, of which every line fits; the arguments are those of `entries_of`.

    Raises:
        SettingError: a line for each line of the manifest that cannot be run, with its number.
    """
    entries, faults = entries_of(base, rows, out, common, mirror=mirror)
    infos, needed = _looked_at([entry.request.video for entry in entries]), 0.0
    for entry in entries:
        request, info = entry.request, infos[entry.request.video]
        try:
            if not request.settings.classical:
                _check_model(request.model, request.placement)
            if entry.style:
                _check_style(tuple(entry.style.items()))
            if isinstance(info, FlowEditError):
                raise info
            needed += _check(entry, info)
        except FlowEditError as error:
            faults.append((entry.line, f"line {entry.line} ({entry.id}): {error}"))
    free = shutil.disk_usage(existing_parent(out)).free
    if needed > free:
        said = f"the results may take {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; free some."
        faults.append((rows[-1][0] + 1, said))
    if faults:
        raise SettingError("\n".join(["nothing is begun:", *(f"  {said}" for _, said in sorted(faults))]))
    return entries


def _looked_at(videos: Sequence[Path]) -> dict[Path, VideoInfo | FlowEditError]:
    """What each video holds, or why it is none; each is opened once."""
    videos = list(dict.fromkeys(videos))
    with ThreadPoolExecutor(_LOOKS) as pool:
        found = {video: info for video, info in zip(videos, pool.map(glance, videos), strict=True) if info}
    doubtful = [video for video in videos if video not in found]
    return {**found, **dict(zip(doubtful, _probed_apart(doubtful), strict=True))}


def _probed_apart(videos: Sequence[Path]) -> Iterator[VideoInfo | FlowEditError]:
    """What `probe` says of each video, in a process of its own: a film may end the process that decodes it."""
    while videos:
        child = subprocess.run([sys.executable, "-c", _CHILD], input=pickle.dumps(videos), capture_output=True)
        answers = io.BytesIO(child.stdout)
        with suppress(EOFError):
            while True:
                yield pickle.load(answers)
                videos = videos[1:]
        if videos:
            said = f"ends the program that decodes it (status {child.returncode}); convert it, or leave it out."
            yield VideoFileError(f"{videos[0]} {said}")
            videos = videos[1:]


@cache
def _check_model(model: str, placement: str) -> None:
    """Refuse a checkpoint whose files are not here, or a level that there is none of; the small one is always here."""
    if model == TINY:
        placements(model, level=placement)
    else:
        checkpoint_files(model)


@cache
def _check_style(style: tuple[tuple[str, Any], ...]) -> None:
    from flowedit.agent.painting import chosen_look, read_style_image  # clips with keyframes do without the agent

    settings = StyleSettings(**dict(style))
    read_style_image(settings)
    if settings.style is not None or settings.backend == "offline" or not find_key():
        chosen_look(settings)


def _check(entry: Entry, info: VideoInfo) -> float:
    """Check one line against its video; the bytes that its results may take."""
    request = entry.request
    window, size = planned(request, info)
    for index, path in request.keyframes:
        if not (request.crop or request.pad):
            check_shape(_image_size(path), f"Keyframe {index} ({path.name})", (info.height, info.width), size)
    if request.mask is not None and not request.mask.exists():
        raise SettingError(f"No mask at {request.mask}; check the path.")
    if request.output.is_file():
        raise OutputError(f"{request.output} is a file, and the results would need a folder there.")
    return (LOSSLESS_BYTES if request.lossless else PIXEL_BYTES) * len(window) * info.height * info.width


def _image_size(path: Path) -> tuple[int, int]:
    """Height and width of an upright image."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            turned = Image.Image.getexif(image).get(0x0112, 1) >= 5  # that of PNG would decode the picture
            return (image.width, image.height) if turned else (image.height, image.width)
    except (OSError, UnidentifiedImageError):
        raise KeyframeError(f"{path} is missing, or no image; give a PNG or JPEG keyframe.") from None
