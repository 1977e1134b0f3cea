"""`python -m benchmarks speed`: how long whole commands take on two cores, and the most memory that they hold."""

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cases import AT
from benchmarks.launch import launch
from benchmarks.tables import markdown
from benchmarks.worlds import FILMS, FILTERS, FRAMES, film_folder
from flowedit.environment import machine, versions
from flowedit.files import write_json
from flowedit.media.clip import read_video, write_image
from flowedit.tiny.splits import Split

CORES = 2
LIMITS = {"bikes.mp4": {"draft": 6.0, "default": 14.0}, "bigbuckbunny.mp4": {"draft": 22.0, "default": 35.0}}
"""Processor seconds that an edit of each film may take."""
_MEGABYTES, _HELD = 1300.0, 1.3
"""The most memory, in MB, beside that of so many times the frames of the window."""


@dataclass(frozen=True, kw_only=True)
class CommandTime:
    """A whole command, in processes of its own.

    Attributes:
        name: what was run.
        seconds: wall-clock time of each run.
        processor_seconds: of all threads together, of each run.
        others: processor cores that other programs kept busy meanwhile, of each run.
        megabytes: most resident memory over the runs, in MB (10**6 bytes).
        most_seconds: the most that the median of the processor seconds may be.
        most_megabytes: the most memory; None where nothing is promised.
    """

    name: str
    seconds: Sequence[float]
    processor_seconds: Sequence[float]
    others: Sequence[float]
    megabytes: float
    most_seconds: float
    most_megabytes: float | None = None

    @property
    def median(self) -> float:
        """Median processor seconds, which other programs lengthen less than the clock's."""
        return statistics.median(self.processor_seconds)

    @property
    def met(self) -> bool:
        """Whether the limits are kept."""
        return self.median <= self.most_seconds and self.megabytes <= (self.most_megabytes or self.megabytes)


def time_commands(repeats: int = 3) -> Iterator[CommandTime]:
    """Time `import flowedit`, `flowedit --help`, and both presets of `flowedit edit` on 33 frames of two films.

    Model loading and video writing are included; the keyframes are made before the clock starts. One run before the
    ones that count brings the files into memory.
    """
    python = [sys.executable, "-m", "flowedit"]
    yield _time_command("import flowedit", [sys.executable, "-c", "import flowedit"], repeats, (0.15, None))
    yield _time_command("flowedit --help", [*python, "--help"], repeats, (0.5, None))
    for name, limits in LIMITS.items():
        video, start = film_folder() / name, FILMS[name][Split.TEST][0]
        frames = read_video(video, start=start, num_frames=FRAMES).frames
        with TemporaryDirectory() as folder:
            keyframes = []
            for index in AT:
                write_image(Path(folder) / f"{index}.png", FILTERS["ink"](frames[index]))
                keyframes += ["-k", f"{folder}/{index}.png"]
            at = ["--start", str(start), "--frames", str(FRAMES), "--at", ",".join(map(str, AT))]
            for preset, seconds in limits.items():
                edit = [*python, "edit", str(video), *keyframes, *at, "--preset", preset, "-o", f"{folder}/{preset}"]
                said = f"edit --preset {preset}, {frames.shape[2]}x{frames.shape[1]}"
                most = seconds, _MEGABYTES + _HELD * frames.nbytes / 1e6
                yield _time_command(said, [*edit, "--overwrite"], repeats, most)


def _time_command(name: str, command: Sequence[str], repeats: int, most: tuple[float, float | None]) -> CommandTime:
    runs = [launch(command, CORES) for _ in range(1 + repeats)][1:]
    return CommandTime(
        name=name,
        seconds=[run.seconds for run in runs],
        processor_seconds=[run.processor for run in runs],
        others=[run.others for run in runs],
        megabytes=max(run.megabytes for run in runs),
        most_seconds=most[0],
        most_megabytes=most[1],
    )


def report_speed(say: Callable[[str], object], store: Path, repeats: int = 3) -> bool:
    """Time the commands, say each as it is done, and keep them.

    Returns:
        Whether every limit was kept.
    """
    rows = []
    for row in time_commands(repeats):
        rows.append(row)
        say(f"{'ok' if row.met else 'OVER':4} {row.median:7.2f} CPU s, {row.megabytes:5.0f} MB  {row.name}")
    held = {"commands": [asdict(row) for row in rows], "versions": versions(), "machine": machine()}
    write_json(store, held, indent=1)
    return all(row.met for row in rows)


def read_speed(store: Path) -> tuple[list[CommandTime], dict[str, Any]]:
    """The commands of a record, and the whole record."""
    held = json.loads(store.read_text(encoding="utf-8"))
    return [CommandTime(**row) for row in held["commands"]], held


def to_markdown(store: Path) -> str:
    """What a record was measured on, and a table with a line per command."""
    commands, held = read_speed(store)
    machine, build = held["machine"], "CUDA" if held["machine"].get("cuda") else "CPU"
    where = f"{CORES} of {machine['cores']} cores, {machine['system']}, torch {held['versions']['torch']}"
    heads = ("command", "processor seconds", "at most", "memory, MB", "at most", "seconds", "other programs, cores")
    rows = [
        (
            f"`{row.name}`",
            f"{row.median:.2f}",
            f"{row.most_seconds:g}",
            f"{row.megabytes:.0f}",
            f"{row.most_megabytes:.0f}" if row.most_megabytes else "",
            f"{statistics.median(row.seconds):.2f}",
            f"{statistics.median(row.others):.2f}",
        )
        for row in commands
    ]
    return f"{where} ({build} build). Medians of {len(commands[0].seconds)} runs.\n\n{markdown(heads, rows)}"
