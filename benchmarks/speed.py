"""`python -m benchmarks speed`: how long whole commands take on two cores, and the most memory that they hold."""

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.launch import launch
from benchmarks.tables import markdown
from flowedit.environment import machine, versions

CORES = 2


@dataclass(frozen=True, kw_only=True)
class CommandTime:
    """A whole command, in processes of its own.

    Attributes:
        name: what was run.
        seconds: wall-clock time of each run.
        processor_seconds: of all threads together, of each run.
        others: processor cores that other programs kept busy meanwhile, of each run.
        megabytes: most resident memory over the runs, in MB (10**6 bytes).
        most_seconds: the most that the median may be.
        most_megabytes: the most memory; None where nothing is promised.
    """

    name: str
    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]
    others: tuple[float, ...]
    megabytes: float
    most_seconds: float
    most_megabytes: float | None = None

    @property
    def median(self) -> float:
        """Median wall-clock seconds."""
        return statistics.median(self.seconds)

    @property
    def met(self) -> bool:
        """Whether the limits are kept."""
        return self.median <= self.most_seconds and self.megabytes <= (self.most_megabytes or self.megabytes)

    def __str__(self) -> str:
        """One line of what was measured, beside the limits."""
        memory = "" if self.most_megabytes is None else f" (at most {self.most_megabytes:.0f})"
        mark = "ok" if self.met else "OVER"
        seconds = f"{self.median:7.2f} s (at most {self.most_seconds:g})"
        return f"{mark:4} {seconds}, {self.megabytes:5.0f} MB{memory}  {self.name}"


def time_commands(repeats: int = 3) -> Iterator[CommandTime]:
    """Time `import flowedit`, `flowedit --help`, and both presets of `flowedit edit` on a clip of 33 frames.

    Model loading and video writing are included; the clip and its keyframes are made before the clock starts. One run
    before the ones that count brings the files into memory.
    """
    from flowedit.run.demo import make_demo

    python = [sys.executable, "-m", "flowedit"]
    yield _time_command("import flowedit", [sys.executable, "-c", "import flowedit"], repeats, (0.15, None))
    yield _time_command("flowedit --help", [*python, "--help"], repeats, (0.5, None))
    memory = 1500.0 if torch.version.cuda else 1000.0
    with TemporaryDirectory() as folder:
        inputs = make_demo(Path(folder), style="comic", scene=3)
        keyframes = [argument for _, path in inputs.keyframes for argument in ("-k", str(path))]
        at = ",".join(str(index) for index, _ in inputs.keyframes)
        for preset, seconds in (("default", 20.0), ("draft", 6.0)):
            edit = [*python, "edit", str(inputs.video), *keyframes, "--at", at, "--preset", preset]
            out = ["-o", str(Path(folder) / preset), "--overwrite"]
            yield _time_command(f"flowedit edit --preset {preset}", [*edit, *out], repeats, (seconds, memory))


def _time_command(name: str, command: Sequence[str], repeats: int, most: tuple[float, float | None]) -> CommandTime:
    runs = [launch(command, CORES) for _ in range(1 + repeats)][1:]
    return CommandTime(
        name=name,
        seconds=tuple(run.seconds for run in runs),
        processor_seconds=tuple(run.processor for run in runs),
        others=tuple(run.others for run in runs),
        megabytes=max(run.megabytes for run in runs),
        most_seconds=most[0],
        most_megabytes=most[1],
    )


@dataclass(frozen=True, kw_only=True)
class SpeedRecord:
    """What was measured, and where: whole commands, versions of the packages, and the machine."""

    commands: Sequence[CommandTime]
    versions: dict[str, str]
    machine: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "SpeedRecord":
        """A record that `write` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = ("seconds", "processor_seconds", "others")
        commands = [CommandTime(**{**row, **{name: tuple(row[name]) for name in rows}}) for row in data["commands"]]
        return cls(commands=commands, versions=data["versions"], machine=data["machine"])

    def write(self, path: Path) -> None:
        """Keep the record as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def to_markdown(self) -> str:
        """What was measured on, and a table with a line per command."""
        build = "CUDA" if self.machine.get("cuda") else "CPU"
        where = f"{CORES} of {self.machine['cores']} cores, {self.machine['system']}, torch {self.versions['torch']}"
        heads = ("command", "seconds", "at most", "memory, MB", "at most", "processor seconds", "other programs, cores")
        rows = [
            (
                f"`{row.name}`",
                f"{row.median:.2f}",
                f"{row.most_seconds:g}",
                f"{row.megabytes:.0f}",
                "" if row.most_megabytes is None else f"{row.most_megabytes:.0f}",
                f"{statistics.median(row.processor_seconds):.2f}",
                f"{statistics.median(row.others):.2f}",
            )
            for row in self.commands
        ]
        runs = len(self.commands[0].seconds)
        return f"{where} ({build} build). Medians of {runs} runs.\n\n{markdown(heads, rows)}"


def record_of(commands: Sequence[CommandTime]) -> SpeedRecord:
    """A record of what was measured on this machine."""
    return SpeedRecord(commands=commands, versions=versions(), machine=machine())
