"""The folder of a run: which run may use it, and what lies in it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from flowedit.agent.colour import Picture
from flowedit.agent.events import RECORD, Record, read_record
from flowedit.agent.sample import Source
from flowedit.agent.settings import StyleSettings
from flowedit.errors import AgentError, OutputError, VideoFileError
from flowedit.files import atomic_write
from flowedit.media.images import read_image
from flowedit.runfolder import LOCK

MANIFEST = "keyframes.json"
CHECKPOINT = "checkpoint.sqlite"
ANSWERS = "answers"
_LIMITS = ("max_calls", "max_usd", "answers")


@dataclass(frozen=True)
class RunFolder:
    """Pictures of one run; their names in records are relative to `root`."""

    root: Path

    def save(self, name: str, image: Picture) -> str:
        """Write a picture under its name inside the folder, whole or not at all, and return the name."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        # Little compression: a keyframe is written in a fifth of the time, and grain hardly compresses anyway.
        with atomic_write(path) as part:
            Image.fromarray(image).save(part, compress_level=1, quality=90)
        return name

    def load(self, name: str) -> Picture:
        """Read a picture back.

        Raises:
            AgentError: it is gone or damaged.
        """
        try:
            return read_image(self.root / name)
        except VideoFileError as error:
            again = f"delete {self.root / CHECKPOINT} to have it painted again"
            raise AgentError(f"{str(error).rpartition(';')[0]}; {again}.") from None


def fingerprint(source: Source, settings: StyleSettings) -> str:
    """The same for the same clip and settings: what decides whether an interrupted run may go on.

    What the run may cost is no part of it: a run whose budget was too small goes on with a larger one.
    """
    wanted = asdict(settings)
    wanted["gemini"] = {name: value for name, value in wanted["gemini"].items() if name not in _LIMITS}
    if settings.style_image is not None:
        wanted["style_image"] = hashlib.sha256(Path(settings.style_image).read_bytes()).hexdigest()
    text = json.dumps([source.identity, source.start, source.every, source.num_frames, wanted], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def opened_record(root: Path, source: Source, settings: StyleSettings) -> Record:
    """A new record for a new folder, or that of an interrupted run of the same clip and settings; others are refused.

    Limits on what the run may cost are those of `settings`, not the earlier ones. A run that ended before anything was
    painted or asked makes room for any other.
    """
    new = Record(fingerprint=fingerprint(source, settings), video=source.name, settings=settings)
    if not (root / RECORD).exists():
        others = sorted(path.name for path in root.iterdir() if not path.name.startswith((LOCK, CHECKPOINT)))
        if others:
            raise OutputError(f"{root} already holds other files ({others[0]}); choose an empty folder.")
        return new
    record = read_record(root)
    if record.status in ("done", "rejected"):
        raise OutputError(f"{root} already holds a finished styling run; choose another folder.")
    if record.fingerprint == new.fingerprint:
        return record.model_copy(update={"settings": settings})
    if any(path.is_file() for name in ("attempts", ANSWERS) for path in (root / name).glob("*")):
        raise OutputError(
            f"{root} holds an unfinished run of another clip or other settings; repeat those or choose another."
        )
    for path in root.glob(f"{CHECKPOINT}*"):
        path.unlink()
    return new
