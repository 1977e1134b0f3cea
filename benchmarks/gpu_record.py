"""What the GPU benchmark plans and keeps: rows, the record they stand in, and the clip that is measured."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from flowedit.errors import SettingError
from flowedit.model import ClipShape
from flowedit.wan.checkpoints import Checkpoint

FORMAT = "flowedit-gpu-1"
FULL = ClipShape(num_frames=81, height=480, width=832)
REHEARSAL = ClipShape(num_frames=17, height=32, width=48)
GB = 1e9
PLAIN, FAST = "vendor's plain path", "fast path (compiled)"
CUDNN = "fast path, cuDNN's attention"
DEFAULT_LAZY = "default preset, guided, at the pace lazy"
PREDICTED = ", as predicted"
WIDE = 4000
"""Width above which a transformer takes so long that less of it is measured."""
KEYFRAMES = 5
"""Joint keyframes of the longer sequence; at the full size they stand at frames 0, 20, 40, 60 and 80."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured thing; what does not apply is None.

    Attributes:
        section: the section it came from.
        checkpoint: name of the checkpoint; empty for the machine alone.
        name: what was measured.
        keyframes: joint keyframes in the sequence.
        seconds: median.
        tflops: floating-point operations that the thing asks for, in 10**12.
        peak_gb: most GPU memory in use meanwhile, in 10**9 bytes.
        error: relative difference to the vendor's plain path, root mean square.
        note: anything else a reader must know.
    """

    section: str
    checkpoint: str
    name: str
    keyframes: int = 0
    seconds: float | None = None
    tflops: float | None = None
    peak_gb: float | None = None
    error: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class GpuPlan:
    """What to measure.

    Attributes:
        checkpoints: whose transformers, in this order.
        json: where the rows go.
        minutes: no section is begun after this long.
        rehearse: two narrow blocks and a tiny clip, to see on a CPU that everything runs.
        sections: names of the sections wanted; None for all.
    """

    checkpoints: tuple[Checkpoint, ...]
    json: Path
    minutes: float = 9.0
    rehearse: bool = False
    sections: tuple[str, ...] | None = None

    @property
    def shape(self) -> ClipShape:
        """The clip that is measured."""
        return REHEARSAL if self.rehearse else FULL


@dataclass
class Record:
    """The file: rows, and which sections are done, left out or failed."""

    about: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    unfinished: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The whole record, in a fixed order."""
        return json.dumps(asdict(self), indent=1)


def place(plan: GpuPlan) -> tuple[str, torch.dtype]:
    """Device and type that the plan runs in."""
    return ("cpu", torch.float32) if plan.rehearse else ("cuda", torch.bfloat16)


def key_slots(slots: int) -> list[int]:
    """Latent slots of the joint keyframes: the ends, and evenly between."""
    return [round(number * (slots - 1) / (KEYFRAMES - 1)) for number in range(KEYFRAMES)]


def read_record(path: Path) -> Record:
    """Read a file that `run_gpu` wrote.

    Raises:
        SettingError: it is not there, or something else.
    """
    try:
        held = json.loads(path.read_text())
        if held["about"]["format"] != FORMAT:
            raise ValueError
        return Record(held["about"], [Row(**row) for row in held["rows"]], held["done"], held["unfinished"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(
            f"{path} is no record of `python -m benchmarks gpu`. Give the file that its --json named."
        ) from None


def names(record: Record) -> Sequence[str]:
    """Checkpoints of a record, in its order."""
    return list(dict.fromkeys(row.checkpoint for row in record.rows if row.checkpoint))
