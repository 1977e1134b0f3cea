"""The offline looks, measured in processes of their own: seconds and memory of ten keyframes, sameness, steadiness."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from skimage import data

from flowedit.agent.agreement import change_ratio
from flowedit.agent.result import read_result
from flowedit.agent.sample import Source, file_source
from flowedit.agent.stylers import LOOKS, look_named
from flowedit.bench.launch import Launched, launch
from flowedit.bench.pages import fill_page, write_whole
from flowedit.images import write_image

COMMAND = "flowedit bench looks"
KEYFRAMES = 10
CORES = 2
SECONDS, MEGABYTES, CHANGE = 20.0, 1000.0, 1.3
"""The most that styling may take, hold, and add to what a static camera's regions differ by."""


@dataclass(frozen=True, kw_only=True)
class LookReading:
    """What one look measured.

    Attributes:
        look: its name.
        keyframes: how many were styled.
        seconds: of the whole command on two cores, starting Python included.
        processor_seconds: the same, of all its threads together.
        megabytes: the most that it held.
        identical: whether a second run left the same bytes.
        regions: change between keyframes, of 24ths of the height, styled divided by source.
        pixels: the same of single pixels.
    """

    look: str
    keyframes: int
    seconds: float
    processor_seconds: float
    megabytes: float
    identical: bool
    regions: float
    pixels: float

    @property
    def met(self) -> bool:
        """Whether every limit is kept."""
        kept = self.seconds <= SECONDS and self.megabytes <= MEGABYTES and max(self.regions, self.pixels) <= CHANGE
        return kept and self.identical


def measure_looks(video: Path, style_image: Path, looks: Sequence[str] = tuple(LOOKS)) -> Iterator[LookReading]:
    """Style the first 81 frames of a clip twice with each look, as the command line does.

    Args:
        video: a clip of a static camera, 720 lines.
        style_image: what the look `transfer` takes its colours from.
        looks: which ones.

    Raises:
        ModelError: a run failed.
    """
    source = file_source(video)
    for look in looks:
        with TemporaryDirectory() as folder:
            runs = [Path(folder) / name for name in ("first", "second")]
            image = ["--style-image", str(style_image)] if look == "transfer" else []
            costs = [_run([str(video), "--style", look, *image, "-o", str(run)]) for run in runs]
            yield _reading(look, source, runs, min(costs, key=lambda cost: cost.seconds))


def report_looks(
    video: Path,
    say: Callable[[str], object],
    *,
    looks: Sequence[str] = (),
    style_image: Path | None = None,
    store: Path | None = None,
    page: Path | None = None,
) -> bool:
    """Measure looks, say how each did as it is done, then write the readings and the table.

    Args:
        video: a clip of a static camera.
        say: is told each line.
        looks: which ones; none for all.
        style_image: what the look `transfer` takes its colours from; None for a photograph of scikit-image's.
        store: where the readings go, as JSON.
        page: a Markdown page with marks, see `fill_page`.

    Returns:
        Whether every limit was kept.
    """
    for name in looks:
        look_named(name)
    readings = []
    with TemporaryDirectory() as folder:
        if style_image is None:
            style_image = Path(folder) / "coffee.png"
            write_image(style_image, data.coffee())
        for reading in measure_looks(video, style_image, looks or tuple(LOOKS)):
            readings.append(reading)
            say(f"{'ok  ' if reading.met else 'OVER'} {reading}")
    height, width = file_source(video).frame(0).shape[:2]
    table = to_markdown(readings, f"{video.name} ({width}x{height})")
    if store is not None:
        write_whole(store, json.dumps([asdict(reading) for reading in readings], indent=1) + "\n")
    if page is not None:
        fill_page(page, COMMAND, table)
    say(table)
    return all(reading.met for reading in readings)


def draw_sheet(video: Path, output: Path) -> None:
    """Draw the contact sheet of all looks.

    Args:
        video: any clip.
        output: the picture to write.
    """
    from flowedit.agent.sheet import looks_sheet

    output.parent.mkdir(parents=True, exist_ok=True)
    write_image(output, looks_sheet(file_source(video)))


def to_markdown(readings: Sequence[LookReading], clip: str) -> str:
    """A table with one line per look.

    Args:
        readings: what was measured.
        clip: what the clip is.
    """
    lines = [
        f"{readings[0].keyframes} keyframes of {clip}, the whole command on {CORES} cores; at most {SECONDS:g} s, "
        f"{MEGABYTES:g} MB and a change of {CHANGE:g} are allowed:",
        "",
        "| look | seconds | processor seconds | MB | change of regions | of pixels | two runs, same bytes |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.look} | {r.seconds:.1f} | {r.processor_seconds:.1f} | {r.megabytes:.0f} | {r.regions:.2f} | "
        f"{r.pixels:.2f} | {'yes' if r.identical else 'no'} |"
        for r in readings
    ]
    return "\n".join(lines)


def _reading(look: str, source: Source, runs: Sequence[Path], cost: Launched) -> LookReading:
    result = read_result(runs[0])
    frames = [source.frame(index) for index in result.indices]
    return LookReading(
        look=look,
        keyframes=len(result.indices),
        seconds=round(cost.seconds, 2),
        processor_seconds=round(cost.processor, 2),
        megabytes=round(cost.megabytes, 1),
        identical=_left(runs[0]) == _left(runs[1]),
        regions=round(change_ratio(frames, result.images), 3),
        pixels=round(change_ratio(frames, result.images, regions=source.frame(0).shape[0]), 3),
    )


def _left(run: Path) -> dict[str, bytes]:
    """What a run leaves for the editor, by name."""
    files = [run / "keyframes.json", *(run / "keyframes").iterdir()]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def _run(arguments: list[str]) -> Launched:
    """One `flowedit style` on two cores."""
    command = [sys.executable, "-m", "flowedit", "style", *arguments, "--target-fps", "25", "--max-frames"]
    return launch([*command, str(KEYFRAMES), "--backend", "offline", "--yes"], CORES)
