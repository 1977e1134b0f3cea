"""`python -m benchmarks gpu`: how fast the real models run, in how much memory, with random weights at their size.

A run is a list of sections, each of which yields rows. The file is written after every row, so that a time limit, a
crash or a lost machine loses nothing, and a run that is begun again leaves out the sections that are done.
"""

import json
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowedit.environment import machine, versions
from flowedit.errors import SettingError
from flowedit.files import write_bytes
from flowedit.model import ClipShape
from flowedit.wan.checkpoints import Checkpoint, resolve

if TYPE_CHECKING:
    import torch

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


Section = tuple[str, Callable[[], Iterator[Row]]]


def plan_of(shapes: str, path: Path, *, minutes: float, rehearse: bool, sections: str | None = None) -> GpuPlan:
    """A plan from the command line's words.

    Raises:
        ModelError: a checkpoint that does not exist.
        SettingError: no time, or a section that does not exist.
    """
    from benchmarks.gpu_rows import SECTIONS

    if minutes <= 0:
        raise SettingError(f"--minutes is {minutes}; it must be positive. Use 9.")
    wanted = tuple(sections.split(",")) if sections else None
    unknown = [name for name in wanted or () if name not in SECTIONS]
    if unknown:
        raise SettingError(f"There is no section {unknown[0]!r}; use {', '.join(SECTIONS)}.")
    checkpoints = tuple(resolve(name.strip()) for name in shapes.split(","))
    return GpuPlan(checkpoints=checkpoints, json=path, minutes=minutes, rehearse=rehearse, sections=wanted)


def run_gpu(plan: GpuPlan) -> Iterator[Row]:
    """Measure section after section, writing the file as rows come.

    Raises:
        SettingError: no GPU, and not a rehearsal; or the file is of another machine.
    """
    import torch

    from benchmarks.gpu_rows import sections_of

    if not torch.cuda.is_available() and not plan.rehearse:
        raise SettingError("There is no CUDA device here. Use --rehearse to run everything small on the CPU.")
    record = _begun(plan)
    begun = time.perf_counter()
    for key, rows in sections_of(plan):
        if key in record.done:
            continue
        if time.perf_counter() - begun > 60 * plan.minutes:
            record.unfinished[key] = f"left out: the {plan.minutes:g} minutes were over"
            _write(plan.json, record)
            continue
        yield from _measured(key, rows, record, plan.json)


def run_parallel(plan: GpuPlan) -> Iterator[Row]:
    """Measure what several processes, started by `torchrun`, do together; the first one writes the file.

    Raises:
        SettingError: as from `run_gpu`; or fewer GPUs than processes.
    """
    import torch

    from benchmarks.gpu_parallel import parallel_rows
    from flowedit.wan.parallel import together

    if not torch.cuda.is_available() and not plan.rehearse:
        raise SettingError("There is no CUDA device here. Use --rehearse to run everything small on the CPU.")
    with together() as spread:
        record = _begun(plan) if spread.rank == 0 else Record({})
        for checkpoint in plan.checkpoints:
            rows = partial(parallel_rows, plan, checkpoint, spread)
            if spread.rank:
                deque(rows(), maxlen=0)
            else:
                yield from _measured(f"parallel {checkpoint.name}", rows, record, plan.json)


def place(plan: GpuPlan) -> "tuple[str, torch.dtype]":
    """Device and type that the plan runs in."""
    import torch

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


def _measured(key: str, rows: Callable[[], Iterator[Row]], record: Record, path: Path) -> Iterator[Row]:
    """One section: its rows replace those of an earlier try; what goes wrong in it is recorded and ends it alone."""
    from benchmarks.gpu_parts import clean_up

    record.rows = [row for row in record.rows if f"{row.section} {row.checkpoint}".strip() != key]
    record.unfinished[key] = "was running when the record was last written"
    try:
        for row in rows():
            record.rows.append(row)
            _write(path, record)
            yield row
    except Exception as error:
        traceback.print_exc()
        record.unfinished[key] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    else:
        record.done.append(key)
        del record.unfinished[key]
    _write(path, record)
    clean_up()


def _begun(plan: GpuPlan) -> Record:
    """The record to go on with, or a fresh one."""
    about = {
        "format": FORMAT,
        "machine": machine(),
        "versions": versions(),
        "rehearsal": plan.rehearse,
        "clip": asdict(plan.shape),
    }
    if not plan.json.exists():
        return Record(about)
    record = read_record(plan.json)
    for name in ("machine", "versions", "rehearsal", "clip"):
        if record.about[name] != about[name]:
            raise SettingError(f"{plan.json} was made with another {name}. Give --json another name, or delete it.")
    return record


def _write(path: Path, record: Record) -> None:
    write_bytes(path, record.to_json().encode())


def names(record: Record) -> Sequence[str]:
    """Checkpoints of a record, in its order."""
    return list(dict.fromkeys(row.checkpoint for row in record.rows if row.checkpoint))
