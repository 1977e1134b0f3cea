"""The offline looks, measured in processes of their own: seconds and memory of ten keyframes, sameness, steadiness."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps
from skimage import data

from benchmarks.launch import Launched, launch
from benchmarks.steadiness import steadiness
from benchmarks.tables import markdown
from flowedit.agent.painting import analyse, paint
from flowedit.agent.result import read_result
from flowedit.agent.sample import file_source
from flowedit.agent.stylers import LOOKS, Look, look_named
from flowedit.files import write_json
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
_LARGE, _SMALL, _GAP, _LABEL, _COLUMNS = (352, 198), (114, 88), 4, 24, 3
"""Of the sheet: widths and heights of its pictures, space between them, height of a title, cells in a row."""


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
        pixels: change of still regions between keyframes, styled divided by source, all together.
        worst: the same of the one worst still region.
        beside: the same of the regions that touch what moves.
    """

    look: str
    keyframes: int
    seconds: float
    processor_seconds: float
    megabytes: float
    identical: bool
    pixels: float
    worst: float
    beside: float

    @property
    def met(self) -> bool:
        """Whether every limit is kept."""
        cheap = self.seconds <= SECONDS and self.megabytes <= MEGABYTES
        return cheap and self.worst <= CHANGE and self.identical


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


def report_looks(
    video: Path | None,
    say: Callable[[str], object],
    *,
    looks: Sequence[str] = (),
    style_image: Path | None = None,
    store: Path,
) -> bool:
    """Measure looks, say how each did as it is done, then write the readings and the table.

    Args:
        video: a clip for seconds and memory; None for the made clip of a static camera, on which steadiness is
            read in any case.
        say: is told each line.
        looks: which ones; none for all.
        style_image: what the look `transfer` takes its colours from; None for a photograph of scikit-image's.
        store: where the readings go, as JSON.

    Returns:
        Whether every limit was kept.
    """
    readings = []
    with TemporaryDirectory() as folder:
        still, coffee = Path(folder) / "still.mp4", Path(folder) / "coffee.png"
        write_video(still, still_frames(), STILL_FPS, lossless=True)  # a codec would eat the noise
        write_image(coffee, data.coffee())
        for look in [look_named(name).name for name in looks] or LOOKS:
            extra = ["--style-image", str(style_image or coffee)] if look == "transfer" else []
            readings.append(_read(["--style", look, *extra], video or still, still, Path(folder) / look))
            say(f"{'ok  ' if readings[-1].met else 'OVER'} {readings[-1]}")
    height, width = STILL_SIZE if video is None else file_source(video).frame(0).shape[:2]
    clip = f"{'a made clip of a static camera' if video is None else video.name} ({width}x{height})"
    write_json(store, {"clip": clip, "looks": [asdict(reading) for reading in readings]}, indent=1)
    say(to_markdown(store))
    return all(reading.met for reading in readings)


def _read(style: Sequence[str], video: Path, still: Path, folder: Path) -> LookReading:
    """Style a clip twice, as the command line does, and the made clip once; the quicker run counts."""
    first, second = (_style(video, style, folder / name) for name in ("first", "second"))
    steady = folder / "first"
    if video != still:
        steady = folder / "still"
        _style(still, style, steady)
    source, result, cost = file_source(still), read_result(steady), min(first, second, key=lambda run: run.seconds)
    found = steadiness([source.frame(index) for index in result.indices], result.images)
    return LookReading(
        look=style[1],
        keyframes=len(read_result(folder / "first").indices),
        seconds=round(cost.seconds, 2),
        processor_seconds=round(cost.processor, 2),
        megabytes=round(cost.megabytes, 1),
        identical=_left(folder / "first") == _left(folder / "second"),
        **{name: round(value, 3) for name, value in found._asdict().items()},
    )


def _style(video: Path, style: Sequence[str], out: Path) -> Launched:
    command = [sys.executable, "-m", "flowedit", "style", str(video), *style, "-o", str(out), "--target-fps", "25"]
    return launch([*command, "--max-frames", str(KEYFRAMES), "--backend", "offline", "--yes"], CORES)


def _left(run: Path) -> dict[str, bytes]:
    """What a run leaves for the editor, by name."""
    files = [run / "keyframes.json", *(run / "keyframes").iterdir()]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def to_markdown(store: Path) -> str:
    """A record as a table with one line per look, and what is above its limit."""
    held = json.loads(store.read_text(encoding="utf-8"))
    known = {field.name for field in fields(LookReading)}
    readings = [LookReading(**{name: row[name] for name in known}) for row in held["looks"]]
    heads = ("look", "seconds", "processor seconds", "MB", "two runs, same bytes", "change of still regions: all",
             "worst one", "beside the moving object")  # fmt: skip
    rows = [
        (r.look, f"{r.seconds:.1f}", f"{r.processor_seconds:.1f}", f"{r.megabytes:.0f}", "yes" if r.identical else "no",
         f"{r.pixels:.2f}", f"{r.worst:.2f}", f"{r.beside:.2f}")
        for r in readings
    ]  # fmt: skip
    said = [
        f"{readings[0].keyframes} keyframes of {held['clip']}, the whole command on {CORES} cores; at most {SECONDS:g} "
        f"s and {MEGABYTES:g} MB are allowed. Change is read on the made clip of a static camera; at most {CHANGE:g} "
        "is allowed in each still region, and so in all together:",
        markdown(heads, rows),
    ]
    for what, name in (
        ("**Missed**: in its worst single still region", "worst"),
        ("Beside the moving object, where no limit is set,", "beside"),
    ):
        over = [f"{r.look} ({getattr(r, name):.2f})" for r in readings if getattr(r, name) > CHANGE]
        said += [f"{what} more than {CHANGE:g}: {', '.join(over)}."] if over else []
    return "\n\n".join(said)


def draw_sheet(video: Path, output: Path) -> None:
    """Draw every look on a frame of a clip, under the clip's card, and on three of scikit-image's pictures.

    Args:
        video: any clip.
        output: the picture to write.
    """
    source = file_source(video)
    frames = [source.frame(round(k * (source.num_frames - 1) / 3)) for k in range(4)]
    stills = [np.ascontiguousarray(picture()[..., :3]) for picture in (data.astronaut, data.coffee, data.chelsea)]
    cells = [_cell("Source", [frames[2], *stills])]
    for look in LOOKS.values():
        singles = [_painted(look, [still], frames[2] if k == 1 else stills[1], still) for k, still in enumerate(stills)]
        cells.append(_cell(look.title, [_painted(look, frames, stills[1], frames[2]), *singles]))
    width, height = (side + 3 * _GAP for side in cells[0].size)
    size = (width * _COLUMNS + 3 * _GAP, height * -(-len(cells) // _COLUMNS) + 3 * _GAP)
    sheet = Image.new("RGB", size, "white")
    for k, cell in enumerate(cells):
        sheet.paste(cell, (3 * _GAP + k % _COLUMNS * width, 3 * _GAP + k // _COLUMNS * height))
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(output)


def _painted(look: Look, images: Sequence[Picture], reference: Picture, shown: Picture) -> Picture:
    """One of some images in a look, under the card of all of them."""
    return paint(shown, analyse(images, look, reference if look.name == "transfer" else None), 0, 1.0)


def _cell(title: str, pictures: Sequence[Picture]) -> Image.Image:
    """A large picture under its title, and the others small below it."""
    cell = Image.new("RGB", (_LARGE[0], _LABEL + _LARGE[1] + _GAP + _SMALL[1]), "white")
    ImageDraw.Draw(cell).text((2, 2), title, fill=(30, 30, 30), font=ImageFont.load_default(17))
    for k, picture in enumerate(pictures):
        place = ((k - 1) * (_SMALL[0] + _GAP), _LABEL + _LARGE[1] + _GAP) if k else (0, _LABEL)
        cell.paste(ImageOps.fit(Image.fromarray(picture), _SMALL if k else _LARGE, centering=(0.5, 0.3)), place)
    return cell
