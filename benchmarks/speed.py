"""`python -m benchmarks speed`: how long whole commands take on two cores, and the most memory that they hold."""

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.launch import launch
from benchmarks.tables import markdown
from flowedit.environment import machine, versions
from flowedit.files import write_json
from flowedit.media.clip import write_image, write_video
from flowedit.tiny.looks import look
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.world import render, sample_scene

CORES, AT = 2, (0, 16, 32)


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
    seconds: Sequence[float]
    processor_seconds: Sequence[float]
    others: Sequence[float]
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


def time_commands(repeats: int = 3) -> Iterator[CommandTime]:
    """Time `import flowedit`, `flowedit --help`, and both presets of `flowedit edit` on a clip of 33 frames.

    Model loading and video writing are included; the clip and its keyframes are made before the clock starts. One run
    before the ones that count brings the files into memory.
    """
    python = [sys.executable, "-m", "flowedit"]
    yield _time_command("import flowedit", [sys.executable, "-c", "import flowedit"], repeats, (0.15, None))
    yield _time_command("flowedit --help", [*python, "--help"], repeats, (0.5, None))
    memory = 1500.0 if torch.version.cuda else 1000.0
    with TemporaryDirectory() as folder:
        video, images = _computed_clip(Path(folder))
        keyframes = [argument for path in images for argument in ("-k", str(path))]
        at = ",".join(map(str, AT))
        for preset, seconds in (("default", 20.0), ("draft", 6.0)):
            edit = [*python, "edit", str(video), *keyframes, "--at", at, "--preset", preset]
            out = ["-o", str(Path(folder) / preset), "--overwrite"]
            yield _time_command(f"flowedit edit --preset {preset}", [*edit, *out], repeats, (seconds, memory))


def _computed_clip(folder: Path) -> tuple[Path, list[Path]]:
    """33 frames of 512x288 of the small model's world, and its exact comic at three of them."""
    g = generator(Split.TEST, 3)
    clip = render(sample_scene(g, 1, 33), 288, 512)
    source, styled = (
        (video[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        for video in (clip.rgb, stylize(clip, look("comic", g)))
    )
    write_video(folder / "source.mp4", source, 16)
    images = [folder / f"frame-{index:04d}.png" for index in AT]
    for index, path in zip(AT, images, strict=True):
        write_image(path, styled[index])
    return folder / "source.mp4", images


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
        say(f"{'ok' if row.met else 'OVER':4} {row.median:7.2f} s, {row.megabytes:5.0f} MB  {row.name}")
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
    heads = ("command", "seconds", "at most", "memory, MB", "at most", "processor seconds", "other programs, cores")
    rows = [
        (
            f"`{row.name}`",
            f"{row.median:.2f}",
            f"{row.most_seconds:g}",
            f"{row.megabytes:.0f}",
            f"{row.most_megabytes:.0f}" if row.most_megabytes else "",
            f"{statistics.median(row.processor_seconds):.2f}",
            f"{statistics.median(row.others):.2f}",
        )
        for row in commands
    ]
    return f"{where} ({build} build). Medians of {len(commands[0].seconds)} runs.\n\n{markdown(heads, rows)}"
