"""What a batch knows of a clip: its record, kept in the clip's own folder, and whether its result is there."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from flowedit.batch.manifest import Entry
from flowedit.files import write_json
from flowedit.runfolder import EDITED, MANIFEST

RECORD = "batch.json"
State = Literal["waiting", "running", "done", "skipped", "failed", "quarantined", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of a clip.

    Attributes:
        id: the clip's.
        state: `failed` is tried again, `quarantined` is not; `skipped` was done before.
        asked: digest of inputs and settings; others begin a new record.
        starts: how often its edit was started, by whichever batch.
        failures: how often it failed, or took its process with it.
        seconds: of the last start.
        node: the machine that it was started on.
        reason: why there is no result, or a note on it, in a line.
        cause: `memory` or `disk` where it failed for want of that.
        level: where the model's weights rested.
        stage: what is being done, `done` of `total` steps.
    """

    id: str
    state: State = "waiting"
    asked: str = ""
    starts: int = 0
    failures: int = 0
    seconds: float = 0.0
    node: str = ""
    reason: str = ""
    cause: str = ""
    level: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0

    def failed(self, reason: str, retries: int, cause: str = "") -> "Record":
        """After one failure more; set aside after more of them than `retries`."""
        state: State = "quarantined" if self.failures >= retries else "failed"
        return replace(self, state=state, failures=self.failures + 1, reason=" ".join(reason.split()), cause=cause)

    def kept(self, entry: Entry) -> "Record":
        """The same, written into the clip's folder."""
        write_json(entry.request.output / RECORD, asdict(replace(self, stage="", done=0, total=0)))
        return self

    @property
    def ended(self) -> bool:
        """Whether nothing more is done for the clip."""
        return self.state not in ("waiting", "running", "failed")

    def line(self) -> str:
        """What became of the clip, or what is being done."""
        if self.state == "running":
            steps = f" {self.done}/{self.total}" if self.total else ""
            return f"{self.id}: {self.stage or 'starting'}{steps}"
        seconds = f" in {self.seconds:.1f} s" if self.state == "done" else ""
        return f"{self.id}: {self.state}{seconds}{f' ({self.reason})' if self.reason else ''}"


_READER = TypeAdapter(Record)


def read_record(entry: Entry) -> Record:
    """The record in a clip's folder, one of a process that is gone as stopped; a new one where there is none."""
    try:
        kept = _READER.validate_json((entry.request.output / RECORD).read_bytes())
    except (OSError, ValueError):
        return Record(id=entry.id)
    return replace(kept, id=entry.id, state="stopped" if kept.state == "running" else kept.state)


def is_done(folder: Path, asked: str) -> bool:
    """Whether a folder holds a whole run of what has this digest, by a batch or by `flowedit edit`."""
    try:
        kept = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(kept, dict) and kept.get("asked") == asked and (folder / EDITED).is_file()
