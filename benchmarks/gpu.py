"""`python -m benchmarks gpu`: how fast the real models run, in how much memory, with random weights at their size.

A run is a list of sections, each of which yields rows. The file is written after every row, so that a time limit, a
crash or a lost machine loses nothing, and a run that is begun again leaves out the sections that are done.
"""

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu_parallel import parallel_rows
from benchmarks.gpu_parts import clean_up
from benchmarks.gpu_record import FORMAT, GpuPlan, Record, Row, read_record
from benchmarks.gpu_rows import SECTIONS, sections_of
from flowedit.environment import machine, versions
from flowedit.errors import SettingError
from flowedit.files import write_bytes
from flowedit.wan.checkpoints import resolve
from flowedit.wan.parallel import together


def plan_of(shapes: str, path: Path, *, minutes: float, rehearse: bool, sections: str | None = None) -> GpuPlan:
    """A plan from the command line's words.

    Raises:
        ModelError: a checkpoint that does not exist.
        SettingError: no time, or a section that does not exist.
    """
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


def _measured(key: str, rows: Callable[[], Iterator[Row]], record: Record, path: Path) -> Iterator[Row]:
    """One section: its rows replace those of an earlier try; what goes wrong in it is recorded and ends it alone."""
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
