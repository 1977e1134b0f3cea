"""The record of a run: what each node did, how long it took, what it asked and what it cost; written as it happens."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowedit.agent.colour import Frozen
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import ApprovalRequest
from flowedit.errors import AgentError
from flowedit.files import only_file, to_json, write_text

RECORD = "agent.json"
Status = Literal["running", "waiting", "done", "rejected"]


class Usage(Frozen):
    """What calls to a model took: requests sent, tokens sent and received, and the estimated cost in US dollars."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        """The sum of both."""
        sums = {name: round(value + getattr(other, name), 6) for name, value in self}
        return Usage(**sums)


class Event(BaseModel):
    """One thing that a node did; who does the work of the node fills it in.

    Attributes:
        keyframe: clip frame it worked on, where it worked on one.
        prompt: what a model was told; empty offline.
        images: files it made, inside the run's folder.
        values: numbers and names worth showing; "by" says who did it.
        notes: what did not go as planned, one sentence each.
    """

    model_config = ConfigDict(extra="forbid")

    order: int = 0
    node: str
    keyframe: int | None = None
    seconds: float = 0.0
    prompt: str = ""
    usage: Usage = Field(default_factory=Usage)
    images: list[str] = Field(default_factory=list)
    values: dict[str, Any] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    outcome: Literal["done", "failed", "waiting"] = "done"


class Record(BaseModel):
    """A whole run: what was asked, and the events in order; it goes on only for the same clip and settings.

    `format` is the version of this layout, and `waiting_for` what a person is asked while the run waits.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    fingerprint: str
    video: str
    settings: StyleSettings
    status: Status = "running"
    waiting_for: ApprovalRequest | None = None
    events: list[Event] = Field(default_factory=list)

    def usage(self) -> Usage:
        """All calls of the run together."""
        return sum((event.usage for event in self.events), Usage())

    def notes(self) -> list[str]:
        """Every sentence about what did not go as planned, each once, in order."""
        return list(dict.fromkeys(note for event in self.events for note in event.notes))


class EventLog:
    """Appends events to a folder's record; the file is whole at every moment, and parallel nodes may write at once."""

    def __init__(
        self, folder: Path, record: Record, redact: Callable[[str], str], watch: Callable[[Event], object]
    ) -> None:
        """Append to a record, new or left by an interrupted run; `redact` cleans what is written, `watch` hears it."""
        self._path, self._redact, self._watch = folder / RECORD, redact, watch
        self._lock = threading.Lock()
        self.record = record
        self._write()

    @contextmanager
    def node(self, name: str, keyframe: int | None = None, **values: Any) -> Iterator[Event]:  # noqa: ANN401 - any JSON
        """Time a node; what it fills into the event is written when it ends, also when it raises."""
        event, began = Event(node=name, keyframe=keyframe, values=values), time.perf_counter()
        try:
            yield event
        except BaseException as error:
            event.outcome = "failed"
            said = " ".join(str(error).split()) or type(error).__name__
            event.notes.append(said if isinstance(error, Exception) else f"Interrupted ({said}).")
            raise
        finally:
            event.seconds = round(time.perf_counter() - began, 4)
            with self._lock:
                event.order = len(self.record.events)
                self.record.events.append(event)
                self._write()
            self._watch(event)

    def set_status(self, status: Status, waiting_for: ApprovalRequest | None = None) -> None:
        """Say how far the run is, and while it waits what for."""
        with self._lock:
            self.record.status, self.record.waiting_for = status, waiting_for
            self._write()

    def _write(self) -> None:
        write_text(self._path, self._redact(to_json(self.record.model_dump(mode="json"), 1)))


def read_record(folder: str | Path) -> Record:
    """The record of a run, finished or not; a folder that holds none, or a damaged one, is refused."""
    path = Path(folder) / RECORD
    try:
        return Record.model_validate_json(only_file(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AgentError(f"No styling run in {folder}; give the folder that `flowedit style` wrote.") from None
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise AgentError(f"{path} is not the record of a styling run ({reason}); style the clip again.") from None
