"""Check every line of a batch before any work: files, sizes, rates, windows, settings, model and disk."""

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from flowedit.batch.manifest import Entry, Faults, Rows, entries_of
from flowedit.batch.painting import Painter
from flowedit.errors import FlowEditError, KeyframeError, OutputError, SettingError
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


def checked_entries(
    base: Path, rows: Rows, out: Path, common: Mapping[str, Any], *, mirror: bool = False
) -> list[Entry]:
    """The clips of a batch, of which every line fits; the arguments are those of `entries_of`.

    Raises:
        SettingError: a line for each line of the manifest that cannot be run, with its number.
    """
    entries, faults = entries_of(base, rows, out, common, mirror=mirror)
    if entries:
        faults += check_entries(entries, Painter.of(entries, out, 0.0))
    if faults:
        raise SettingError("\n".join(["nothing is begun:", *(f"  {said}" for _, said in sorted(faults))]))
    return entries


def check_entries(entries: Sequence[Entry], painter: Painter) -> Faults:
    """A sentence for each of some clips that cannot be run. A video is opened once, of pictures the header is read."""
    check_model, check_style = lru_cache(None)(_check_model), lru_cache(None)(lambda style: painter.check(dict(style)))
    faults, needed = Faults(), 0.0
    videos = list(dict.fromkeys(entry.request.video for entry in entries))
    with ThreadPoolExecutor(_LOOKS) as pool:
        infos = dict(zip(videos, pool.map(_seen, videos), strict=True))
    for entry in entries:
        request, info = entry.request, infos[entry.request.video]
        try:
            if not request.settings.classical:
                check_model(request.model, request.placement)
            if entry.style:
                check_style(tuple(entry.style.items()))
            if isinstance(info, FlowEditError):
                raise info
            needed += _check(entry, info)
        except FlowEditError as error:
            faults.append((entry.line, f"line {entry.line} ({entry.id}): {error}"))
    free = shutil.disk_usage(existing_parent(entries[0].request.output)).free
    if needed > free:
        said = f"the results may take {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; free some."
        faults.append((entries[-1].line + 1, said))
    return faults


def _seen(video: Path) -> VideoInfo | FlowEditError:
    try:
        return glance(video)
    except FlowEditError as error:
        return error


def _check_model(model: str, placement: str) -> None:
    """Refuse a checkpoint whose files are not here, or a level that there is none of; the small one is always here."""
    if model == TINY:
        placements(model, level=placement)
    else:
        checkpoint_files(model)


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
