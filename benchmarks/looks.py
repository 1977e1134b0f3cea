"""The offline looks, measured in processes of their own: seconds and memory of ten keyframes, sameness, steadiness."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from jaxtyping import UInt8
from skimage import data

from benchmarks.launch import Launched, launch
from benchmarks.looks_sheet import looks_sheet
from benchmarks.steadiness import Steadiness, steadiness
from flowedit.agent.result import read_result
from flowedit.agent.sample import Source, file_source
from flowedit.agent.stylers import LOOKS, look_named
from flowedit.media.images import write_image
from flowedit.media.writer import write_video

Picture = UInt8[np.ndarray, "H W 3"]

KEYFRAMES = 10
CORES = 2
SECONDS, MEGABYTES, CHANGE = 20.0, 1000.0, 1.3
"""The most that styling may take, hold, and multiply what still regions of a static camera differ by."""
STILL_FRAMES, STILL_SIZE, STILL_FPS = 81, (720, 1280), 25
_NOISE = 2.0
"""Standard deviation of the made clip's noise, of 255: an ordinary camera in ordinary light."""


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
        regions: change of still regions between keyframes, styled divided by source, in the worst of four groups.
        pixels: the same of all still regions together.
        worst: the same of the one worst still region.
        beside: the same of the regions that touch what moves.
    """

    look: str
    keyframes: int
    seconds: float
    processor_seconds: float
    megabytes: float
    identical: bool
    regions: float
    pixels: float
    worst: float
    beside: float

    @property
    def met(self) -> bool:
        """Whether every limit is kept."""
        kept = (
            self.seconds <= SECONDS
            and self.megabytes <= MEGABYTES
            and max(self.regions, self.pixels, self.worst) <= CHANGE
        )
        return kept and self.identical


def still_frames() -> Iterator[Picture]:
    """A static camera: a photograph with a ball that rolls through and with a camera's noise, the same in every call.

    Yields:
        81 frames, uint8 (720, 1280, 3).
    """
    height, width = STILL_SIZE
    photograph = data.astronaut()
    top, breadth = photograph.shape[0] // 8, photograph.shape[1]
    crop = photograph[top : top + breadth * height // width]
    still = cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC)
    for k in range(STILL_FRAMES):
        centre = round(width * (0.1 + 0.8 * k / (STILL_FRAMES - 1))), round(height * 0.7)
        frame = cv2.circle(still.copy(), centre, max(3, height // 22), (230, 60, 40), -1, cv2.LINE_AA)
        noise = np.random.default_rng(k).normal(0, _NOISE, frame.shape)
        yield np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def measure_looks(
    style_image: Path, looks: Sequence[str] = tuple(LOOKS), *, video: Path | None = None
) -> Iterator[LookReading]:
    """Style 81 frames of a clip twice with each look, as the command line does.

    Seconds, memory and sameness are read on `video`, steadiness always on the made clip of a static camera.

    Args:
        style_image: what the look `transfer` takes its colours from.
        looks: which ones.
        video: a clip of 720 lines; None for the made one.

    Raises:
        ModelError: a run failed.
    """
    with _still_clip() as still:
        for look in looks:
            with TemporaryDirectory() as folder:
                runs = [Path(folder) / name for name in ("first", "second", "still")]
                image = ["--style-image", str(style_image)] if look == "transfer" else []
                style = ["--style", look, *image, "-o"]
                costs = [_run([str(video or still), *style, str(run)]) for run in runs[:2]]
                if video is not None:
                    _run([str(still), *style, str(runs[2])])
                steady = _steadiness(file_source(still), runs[0] if video is None else runs[2])
                yield _reading(look, runs[:2], min(costs, key=lambda cost: cost.seconds), steady)


def report_looks(
    video: Path | None,
    say: Callable[[str], object],
    *,
    looks: Sequence[str] = (),
    style_image: Path | None = None,
    store: Path | None = None,
) -> bool:
    """Measure looks, say how each did as it is done, then write the readings and the table.

    Args:
        video: a clip to read seconds and memory on; None for the made clip of a static camera, on which steadiness is
            read in any case.
        say: is told each line.
        looks: which ones; none for all.
        style_image: what the look `transfer` takes its colours from; None for a photograph of scikit-image's.
        store: where the readings go, as JSON.

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
        for reading in measure_looks(style_image, looks or tuple(LOOKS), video=video):
            readings.append(reading)
            say(f"{'ok  ' if reading.met else 'OVER'} {reading}")
    if store is not None:
        held = {"clip": _named(video), "looks": [asdict(reading) for reading in readings]}
        store.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    say(to_markdown(readings, _named(video)))
    return all(reading.met for reading in readings)


def draw_sheet(video: Path, output: Path) -> None:
    """Draw the contact sheet of all looks.

    Args:
        video: any clip.
        output: the picture to write.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    write_image(output, looks_sheet(file_source(video)))


def to_markdown(readings: Sequence[LookReading], clip: str) -> str:
    """A table with one line per look.

    Args:
        readings: what was measured.
        clip: what the clip is.
    """
    lines = [
        f"{readings[0].keyframes} keyframes of {clip}, the whole command on {CORES} cores; at most {SECONDS:g} s and "
        f"{MEGABYTES:g} MB are allowed. Change is read on the made clip of a static camera; at most {CHANGE:g} is "
        "allowed in each still region, and so in groups of them and in all together:",
        "",
        "| look | seconds | processor seconds | MB | two runs, same bytes | change of still regions: worst group | "
        "all | worst one | beside the moving object |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.look} | {r.seconds:.1f} | {r.processor_seconds:.1f} | {r.megabytes:.0f} | "
        f"{'yes' if r.identical else 'no'} | {r.regions:.2f} | {r.pixels:.2f} | {r.worst:.2f} | {r.beside:.2f} |"
        for r in readings
    ]
    return "\n".join([*lines, *_above(readings)])


def _above(readings: Sequence[LookReading]) -> list[str]:
    """Where a look changes more than its source, said in words."""
    said = []
    for what, name in (
        ("**Missed**: in its worst single still region", "worst"),
        ("Beside the moving object, where no limit is set,", "beside"),
    ):
        over = [(r.look, getattr(r, name)) for r in readings if getattr(r, name) > CHANGE]
        if over:
            shown = ", ".join(f"{look} ({value:.2f})" for look, value in over)
            said += ["", f"{what} more than {CHANGE:g}: {shown}."]
    return said


def _reading(look: str, runs: Sequence[Path], cost: Launched, steady: Steadiness) -> LookReading:
    return LookReading(
        look=look,
        keyframes=len(read_result(runs[0]).indices),
        seconds=round(cost.seconds, 2),
        processor_seconds=round(cost.processor, 2),
        megabytes=round(cost.megabytes, 1),
        identical=_left(runs[0]) == _left(runs[1]),
        **{name: round(value, 3) for name, value in asdict(steady).items()},
    )


def _steadiness(source: Source, run: Path) -> Steadiness:
    result = read_result(run)
    return steadiness([source.frame(index) for index in result.indices], result.images)


@contextmanager
def _still_clip() -> Iterator[Path]:
    """The made clip as a file for as long as it is needed; lossless, for a codec would eat the noise."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "still.mp4"
        write_video(path, still_frames(), STILL_FPS, lossless=True)
        yield path


def _named(video: Path | None) -> str:
    if video is None:
        return f"a made clip of a static camera ({STILL_SIZE[1]}x{STILL_SIZE[0]})"
    height, width = file_source(video).frame(0).shape[:2]
    return f"{video.name} ({width}x{height})"


def _left(run: Path) -> dict[str, bytes]:
    """What a run leaves for the editor, by name."""
    files = [run / "keyframes.json", *(run / "keyframes").iterdir()]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def _run(arguments: list[str]) -> Launched:
    """One `flowedit style` on two cores."""
    command = [sys.executable, "-m", "flowedit", "style", *arguments, "--target-fps", "25", "--max-frames"]
    return launch([*command, str(KEYFRAMES), "--backend", "offline", "--yes"], CORES)
