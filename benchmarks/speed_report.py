"""`python -m benchmarks speed`: measure, say, and keep the record, from which docs/speed.md is filled."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import CORES, TOLERANCE, CommandTime, StepTime, time_commands, time_steps
from flowedit.environment import machine, versions
from flowedit.wan.adapter import WanVideo


@dataclass(frozen=True, kw_only=True)
class SpeedRecord:
    """What was measured, and where.

    Attributes:
        commands: whole commands.
        steps: forwards of growing length.
        versions: of Python and the packages.
        machine: system, cores, GPU.
    """

    commands: Sequence[CommandTime]
    steps: Sequence[StepTime]
    versions: dict[str, str]
    machine: dict[str, Any]

    @property
    def met(self) -> bool:
        """Whether every limit is kept."""
        return all(row.met for row in (*self.commands, *self.steps))

    def to_json(self) -> str:
        """The record as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "SpeedRecord":
        """The inverse of `to_json`."""
        data = json.loads(text)
        rows = ("seconds", "processor_seconds", "others")
        commands = [CommandTime(**{**row, **{name: tuple(row[name]) for name in rows}}) for row in data["commands"]]
        steps = [StepTime(**row) for row in data["steps"]]
        return cls(commands=commands, steps=steps, versions=data["versions"], machine=data["machine"])


def report_speed(
    say: Callable[[str], object], load: Callable[[], WanVideo], *, repeats: int = 3, store: Path | None = None
) -> SpeedRecord:
    """Measure everything on two cores.

    Args:
        say: is told each line.
        load: gives the small model, on the CPU.
        repeats: runs of each command, and rounds of forwards, that count.
        store: where the record goes, as JSON.
    """
    commands, steps = [], []
    with two_cores():
        for row in time_commands(repeats):
            commands.append(row)
            say(_command_line(row))
        steps = time_steps(load(), repeats=2 * repeats)
        for row in steps:
            say(_step_line(row))
    record = SpeedRecord(commands=commands, steps=steps, versions=versions(), machine=machine())
    if store is not None:
        store.write_text(record.to_json(), encoding="utf-8")
    return record


@contextmanager
def two_cores() -> Iterator[None]:
    """Keep this process, and those it starts, on two cores, where the system lets it be asked."""
    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, CORES))
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if before is not None:
        os.sched_setaffinity(0, sorted(before)[:CORES])
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if before is not None:
            os.sched_setaffinity(0, before)


def to_page(record: SpeedRecord) -> str:
    """The record as Markdown: two tables, and on what they were measured."""
    build = "CUDA" if record.machine.get("cuda") else "CPU"
    lines = [
        f"{CORES} of {record.machine['cores']} cores, {record.machine['system']}, torch "
        f"{record.versions.get('torch')} ({build} build). Medians of {len(record.commands[0].seconds)} runs.",
        "",
        "| command | seconds | at most | memory, MB | at most | processor seconds | other programs, cores |",
        "|---|---|---|---|---|---|---|",
        *(_command_cells(row) for row in record.commands),
        "",
        "| frames | keyframes | tokens | ms a step | predicted | off by |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.frames} | {row.keyframes} | {row.tokens} | {row.seconds * 1e3:.0f} | {row.predicted * 1e3:.0f} "
            f"| {row.deviation:+.1%} |"
            for row in record.steps
        ),
        "",
        f"Largest deviation from the token count's prediction: {max(abs(row.deviation) for row in record.steps):.1%} "
        f"(at most {TOLERANCE:.0%}).",
    ]
    return "\n".join(lines)


def _command_line(row: CommandTime) -> str:
    mark = "ok" if row.met else "OVER"
    return (
        f"{mark:4} {row.median:7.2f} s (at most {row.most_seconds:g}), {row.megabytes:5.0f} MB"
        f"{'' if row.most_megabytes is None else f' (at most {row.most_megabytes:.0f})'}  {row.name}"
    )


def _step_line(row: StepTime) -> str:
    mark = "ok" if row.met else "OVER"
    return (
        f"{mark:4} {row.seconds * 1e3:7.0f} ms, {row.deviation:+6.1%}  {row.frames} frames, {row.keyframes} keyframes, "
        f"{row.tokens} tokens"
    )


def _command_cells(row: CommandTime) -> str:
    most = "" if row.most_megabytes is None else f"{row.most_megabytes:.0f}"
    processor, others = (sorted(values)[len(values) // 2] for values in (row.processor_seconds, row.others))
    return (
        f"| `{row.name}` | {row.median:.2f} | {row.most_seconds:g} | {row.megabytes:.0f} | {most} "
        f"| {processor:.2f} | {others:.2f} |"
    )
