"""`python -m benchmarks gpu`: how fast the real models run, in how much memory, with random weights at their size.

A run is a list of sections, each of which yields rows. The file is written after every row, so that a time limit, a
crash or a lost machine loses nothing, and a run that is begun again leaves out the sections that are done.
"""

import gc
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from flowedit.environment import machine, versions
from flowedit.errors import SettingError
from flowedit.files import write_json
from flowedit.model import ClipShape
from flowedit.wan.checkpoints import Checkpoint

FORMAT = "flowedit-gpu-1"
GB = 1e9
PLAIN, FAST = "vendor's plain path", "fast path (compiled)"
DEFAULT_LAZY = "default preset, guided, at the pace lazy"
PREDICTED = ", as predicted"
WHOLE = ", by pairs of frames and whole norms"
FULL, REHEARSAL = ClipShape(num_frames=81, height=480, width=832), ClipShape(num_frames=17, height=32, width=48)
KEYFRAMES = 5
"""Joint keyframes of the longer sequence; at the full size they stand at frames 0, 20, 40, 60 and 80."""
_WIDE = 4000
"""Width above which a transformer takes so long that less of it is measured."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured thing; what does not apply is None.

    Attributes:
        section: the section it came from.
        checkpoint: name of the checkpoint.
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


@dataclass(frozen=True)
class Bench:
    """What is measured: a checkpoint at full size on the GPU, or in a rehearsal everything small on the CPU."""

    checkpoint: Checkpoint
    small: bool = False

    @property
    def shape(self) -> ClipShape:
        """The clip that is measured."""
        return REHEARSAL if self.small else FULL

    @property
    def device(self) -> str:
        """Where."""
        return "cpu" if self.small else "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """In which type."""
        return torch.float32 if self.small else torch.bfloat16

    @property
    def backend(self) -> str:
        """What compiles the fast path."""
        return "aot_eager" if self.small else "inductor"

    @property
    def wide(self) -> bool:
        """Whether the transformer takes so long that less of it is measured."""
        return self.checkpoint.width.dim > _WIDE

    def row(self, section: str, name: str, **values: Any) -> Row:  # noqa: ANN401 - the other fields of a row
        """A row of this checkpoint."""
        return Row(section=section, checkpoint=self.checkpoint.name, name=name, **values)


Section = Callable[[Bench], Iterator[Row]]


@dataclass
class Record:
    """The file: rows, which sections are done, and why others are not."""

    about: dict[str, Any]
    rows: list[Row] = field(default_factory=list[Row])
    done: list[str] = field(default_factory=list[str])
    unfinished: dict[str, str] = field(default_factory=dict[str, str])

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        write_json(path, asdict(self), indent=1)


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


def run_gpu(sections: Mapping[str, Section], benches: Sequence[Bench], path: Path, *, rank: int = 0) -> Iterator[Row]:
    """Measure section after section of every checkpoint, writing the file as rows come.

    What goes wrong in a section is recorded and ends it alone.

    Args:
        sections: by name.
        benches: the checkpoints.
        path: the record; one that is there already is gone on with.
        rank: of several processes started by `torchrun`, of which the first one alone writes.

    Raises:
        SettingError: no GPU, and not a rehearsal; or the file is of another machine.
    """
    small = benches[0].small
    if not torch.cuda.is_available() and not small:
        raise SettingError("There is no CUDA device here. Use --rehearse to run everything small on the CPU.")
    record = _begun(path, small=small)
    todo = [(name, bench) for name in sections for bench in benches]
    for name, bench in todo:
        key = f"{name} {bench.checkpoint.name}"
        if key in record.done:
            continue
        record.rows = [row for row in record.rows if f"{row.section} {row.checkpoint}" != key]
        try:
            for row in sections[name](bench):
                record.rows.append(row)
                if not rank:
                    record.write(path)
                yield row
        except Exception as error:
            traceback.print_exc()
            record.unfinished[key] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        else:
            record.done.append(key)
            record.unfinished.pop(key, None)
        if not rank:
            record.write(path)
        torch.compiler.reset()
        gc.collect()
        torch.cuda.empty_cache()


def _begun(path: Path, *, small: bool) -> Record:
    """The record to go on with, or a fresh one."""
    about = {"format": FORMAT, "machine": machine(), "versions": versions(), "rehearsal": small}
    about["clip"] = asdict(REHEARSAL if small else FULL)
    if not path.exists():
        return Record(about)
    record = read_record(path)
    for name in ("machine", "versions", "rehearsal", "clip"):
        if record.about[name] != about[name]:
            raise SettingError(f"{path} was made with another {name}. Give --json another name, or delete it.")
    return record


def measured(
    work: Callable[[], Tensor], device: str, expected: Tensor | None = None, *, repeats: int = 5
) -> tuple[dict[str, Any], Tensor]:
    """Seconds, peak memory and error of some work as fields of a row, and what it made."""
    made, peak = peaking(work, device)
    error = None if expected is None else relative_error(made, expected)
    return {"seconds": timed(work, device, repeats=repeats), "peak_gb": peak, "error": error}, made


def timed(work: Callable[[], object], device: str, *, repeats: int) -> float:
    """Median seconds of some runs, after one that does not count."""
    seconds = []
    for _ in range(1 + repeats):
        begun = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return median(seconds[1:])


def peaking(work: Callable[[], Any], device: str) -> tuple[Any, float | None]:
    """What work made, and the most memory, in GB, that PyTorch held on the GPU meanwhile; None on a CPU."""
    if device == "cpu":
        return work(), None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    made = work()
    torch.cuda.synchronize()
    return made, torch.cuda.max_memory_allocated() / GB


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of what was expected."""
    # The vendor leaves what it made of tiles on the host.
    difference = (found.to(expected.device).double() - expected.double()).square().mean().sqrt()
    return float(difference / expected.double().square().mean().sqrt())
