"""`python -m benchmarks speed`: how long whole commands take on two cores, and the most memory that they hold."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psutil

from benchmarks.cases import AT
from benchmarks.table import markdown
from benchmarks.worlds import FILMS, FILTERS, FRAMES, film_folder
from flowedit.environment import machine, versions
from flowedit.errors import ModelError
from flowedit.files import make_folder, write_json
from flowedit.media.clip import read_video, write_image
from flowedit.tiny.splits import Split

CORES = 2
LIMITS = {"bikes.mp4": {"draft": 6.0, "default": 14.0}, "bigbuckbunny.mp4": {"draft": 22.0, "default": 35.0}}
"""Processor seconds that an edit of each film may take."""
_MEGABYTES, _HELD = 1300.0, 1.3
"""The most memory, in MB, beside that of so many times the frames of the window."""
_LAUNCHER = """
import json, os, subprocess, sys, time
begun = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
cores = json.loads(sys.argv[1])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:cores])
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - begun
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""
"""Runs a command on so many cores and tells its status, seconds, processor seconds and peak memory. The
system counts the memory of the process that starts another one to that one's peak, so a small one must do it."""


@dataclass(frozen=True, kw_only=True)
class CommandTime:
    """A whole command, in processes of its own: of each run the clock's and all threads' processor seconds.

    `others` are the processor cores that other programs kept busy meanwhile; `megabytes` (10**6 bytes) is the most
    resident memory over the runs. The median of the processor seconds may be `most_seconds`.
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

    Model loading and video writing are included; the keyframes are made before the clock starts.
    """
    python = [sys.executable, "-m", "flowedit"]
    yield time_command("import flowedit", [sys.executable, "-c", "import flowedit"], repeats, (0.15, None))
    yield time_command("flowedit --help", [*python, "--help"], repeats, (0.5, None))
    for name, limits in LIMITS.items():
        video, start = film_folder() / name, FILMS[name][Split.TEST][0]
        frames = read_video(video, start=start, num_frames=FRAMES).frames
        with TemporaryDirectory() as folder:
            keys = make_folder(Path(folder) / "keys")
            for index in AT:
                write_image(keys / f"{index}.png", FILTERS["ink"](frames[index]))
            at = ["--start", str(start), "--frames", str(FRAMES), "--at", ",".join(map(str, AT))]
            edit = [*python, "edit", str(video), "-k", str(keys), *at, "--overwrite"]
            for preset, seconds in limits.items():
                said = f"edit --preset {preset}, {frames.shape[2]}x{frames.shape[1]}"
                most = seconds, _MEGABYTES + _HELD * frames.nbytes / 1e6
                yield time_command(said, [*edit, "--preset", preset, "-o", f"{folder}/{preset}"], repeats, most)


def time_command(name: str, command: Sequence[str], repeats: int, most: tuple[float, float | None]) -> CommandTime:
    """Time one command; a run before those that count brings the files into memory."""
    runs = [launch(command) for _ in range(1 + repeats)][1:]
    seconds, processor, others, megabytes = (list(values) for values in zip(*runs, strict=True))
    taken = {"seconds": seconds, "processor_seconds": processor, "others": others, "megabytes": max(megabytes)}
    return CommandTime(name=name, **taken, most_seconds=most[0], most_megabytes=most[1])


def report_speed(say: Callable[[str], object], store: Path, repeats: int = 3) -> bool:
    """Time the commands, say each as it is done, and keep them; whether every limit was kept."""
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
    rows = []
    for row in commands:
        memory = f"{row.megabytes:.0f}", f"{row.most_megabytes:.0f}" if row.most_megabytes else ""
        clock = (f"{statistics.median(values):.2f}" for values in (row.seconds, row.others))
        rows.append((f"`{row.name}`", f"{row.median:.2f}", f"{row.most_seconds:g}", *memory, *clock))
    return f"{where} ({build} build). Medians of {len(commands[0].seconds)} runs.\n\n{markdown(heads, rows)}"


class Launched(NamedTuple):
    """Seconds of the clock and of the processor, cores that others kept busy, and the most memory in MB."""

    seconds: float
    processor: float
    others: float
    megabytes: float


def launch(command: Sequence[str], cores: int = CORES) -> Launched:
    """Run a command on so many cores where the system lets one choose, no GPU in sight, its output dropped.

    Raises:
        ModelError: it ended with another status than 0.
    """
    busy = _busy_seconds()
    launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, json.dumps(cores), *command]
    without_gpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    said = subprocess.run(launched, capture_output=True, text=True, env=without_gpu, check=True)
    status, seconds, own, peak = json.loads(said.stdout)
    if status != 0:
        last = said.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ModelError(f"{' '.join(command)} ended with status {status} ({last[0]}); run it by hand to see why.")
    peak_bytes = peak * (1 if sys.platform == "darwin" else 1024)
    return Launched(seconds, own, max(0.0, _busy_seconds() - busy - own) / seconds, peak_bytes / 1e6)


def _busy_seconds() -> float:
    """Processor seconds that all programs have used since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))
