"""The folder of a run: who may use it, and where its files lie."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from flowedit.agent.events import RECORD, Record, read_record
from flowedit.agent.sample import Source
from flowedit.agent.settings import StyleSettings
from flowedit.errors import OutputError
from flowedit.media.images import partial_path, read_image

Picture = UInt8[np.ndarray, "H W 3"]
MANIFEST = "keyframes.json"
CHECKPOINT = "checkpoint.sqlite"
_LOCK = "run.lock"
_LIMITS = ("max_calls", "max_usd")


@dataclass(frozen=True)
class RunFolder:
    """File names of one run; names in records are relative to `root`.

    Attributes:
        root: the folder.
    """

    root: Path

    def save(self, name: str, image: Picture) -> str:
        """Write a picture under its name inside the folder, and return the name; the file is whole or not there."""
        path = self.root / name
        part = partial_path(path)
        # Little compression: a keyframe is written in a fifth of the time, and grain hardly compresses anyway.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(part, compress_level=1, quality=90)
            part.replace(path)
        except OSError as error:
            reason = " ".join(str(error).split())
            raise OutputError(f"Cannot write {path} ({reason}); choose another folder or free some space.") from None
        finally:
            part.unlink(missing_ok=True)
        return name

    def load(self, name: str) -> Picture:
        """Read a picture back."""
        return read_image(self.root / name)

    def write_json(self, name: str, data: dict) -> None:
        """Write plain data; the file appears under its name only once it is whole."""
        part = self.root / f".{name}.part"
        part.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(self.root / name)


def fingerprint(source: Source, settings: StyleSettings) -> str:
    """The same for the same clip and settings: what decides whether an interrupted run may go on.

    What the run may cost is no part of it: a run whose budget was too small goes on with a larger one.
    """
    wanted = settings.to_dict()
    wanted["gemini"] = {name: value for name, value in wanted["gemini"].items() if name not in _LIMITS}
    if settings.style_image is not None:
        wanted["style_image"] = hashlib.sha256(Path(settings.style_image).read_bytes()).hexdigest()
    text = json.dumps([source.identity, source.start, source.num_frames, wanted], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def claimed(root: str | Path) -> Iterator[RunFolder]:
    """Hold a folder for one run; the hold ends with the process, however it ends.

    Raises:
        OutputError: another run holds it, or it cannot be written.
    """
    root = Path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(root / _LOCK, timeout=0, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"Cannot write {root} ({' '.join(str(error).split())}); choose another folder.") from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if "locked" in str(error):
            raise OutputError(f"Another run is using {root}; wait for it or choose another folder.") from None
        raise OutputError(f"Cannot write {root} ({error}); choose another folder.") from None
    try:
        yield RunFolder(root)
    finally:
        lock.close()


def opened_record(folder: RunFolder, source: Source, settings: StyleSettings) -> Record:
    """A new record for a new folder, or the record of an interrupted run of the same clip and settings.

    Limits on what the run may cost are those of `settings`, not the earlier ones. A run that ended before anything was
    painted or asked makes room for any other.

    Raises:
        OutputError: the folder holds a finished run, or one of another clip or other settings.
    """
    mark = fingerprint(source, settings)
    if not (folder.root / RECORD).exists():
        others = sorted(path.name for path in folder.root.iterdir() if not path.name.startswith((_LOCK, CHECKPOINT)))
        if others:
            raise OutputError(f"{folder.root} already holds other files ({others[0]}); choose an empty folder.")
        return Record(fingerprint=mark, video=source.name, settings=settings.to_dict())
    record = read_record(folder.root)
    if record.status in ("done", "rejected"):
        raise OutputError(f"{folder.root} already holds a finished styling run; choose another folder.")
    if record.fingerprint != mark and not _keeps_work(folder.root):
        for path in folder.root.glob(f"{CHECKPOINT}*"):
            path.unlink()
        return Record(fingerprint=mark, video=source.name, settings=settings.to_dict())
    if record.fingerprint != mark:
        raise OutputError(
            f"{folder.root} holds an unfinished run of another clip or other settings; repeat those or choose another."
        )
    return record.model_copy(update={"settings": settings.to_dict()})


def _keeps_work(root: Path) -> bool:
    """Whether a run left what took time or money: a painted keyframe, or an answer or the count of what was asked."""
    return any((root / name).is_dir() and any((root / name).iterdir()) for name in ("attempts", "answers"))
