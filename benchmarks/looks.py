"""The offline looks, measured in processes of their own (seconds, memory, sameness), and drawn on one sheet."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps
from skimage import data

from benchmarks.launch import launch
from benchmarks.tables import markdown
from flowedit.agent.painting import analyse, paint
from flowedit.agent.result import read_result
from flowedit.agent.sample import file_source
from flowedit.agent.stylers import LOOKS, Look, look_named
from flowedit.files import write_json
from flowedit.media.images import write_image

Picture = UInt8[np.ndarray, "H W 3"]

KEYFRAMES = 10
CORES = 2
SECONDS, MEGABYTES = 20.0, 1000.0
"""The most that styling may take and hold."""
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
    """

    look: str
    keyframes: int
    seconds: float
    processor_seconds: float
    megabytes: float
    identical: bool

    @property
    def met(self) -> bool:
        """Whether every limit is kept."""
        return self.seconds <= SECONDS and self.megabytes <= MEGABYTES and self.identical


def report_looks(
    video: Path, say: Callable[[str], object], looks: Sequence[str], style_image: Path | None, store: Path
) -> bool:
    """Style the first 81 frames of a clip twice with each look, say how each did, and keep the readings and the table.

    Args:
        video: the clip.
        say: is told each line.
        looks: which ones; none for all.
        style_image: what the look `transfer` takes its colours from; None for a photograph of scikit-image's.
        store: where the readings go, as JSON.

    Returns:
        Whether every limit was kept.
    """
    readings = []
    with TemporaryDirectory() as folder:
        coffee = Path(folder) / "coffee.png"
        write_image(coffee, data.coffee())
        for look in [look_named(name).name for name in looks] or LOOKS:
            extra = ["--style-image", str(style_image or coffee)] if look == "transfer" else []
            readings.append(_read(video, ["--style", look, *extra], Path(folder) / look))
            say(f"{'ok  ' if readings[-1].met else 'OVER'} {readings[-1]}")
    height, width = file_source(video).frame(0).shape[:2]
    held = {"clip": f"{video.name} ({width}x{height})", "looks": [asdict(reading) for reading in readings]}
    write_json(store, held, indent=1)
    say(to_markdown(store))
    return all(reading.met for reading in readings)


def _read(video: Path, style: Sequence[str], folder: Path) -> LookReading:
    """Style a clip twice, as the command line does; the quicker run counts."""
    runs, costs = [folder / name for name in ("first", "second")], []
    for out in runs:
        command = [sys.executable, "-m", "flowedit", "style", str(video), *style, "-o", str(out), "--target-fps", "25"]
        costs.append(launch([*command, "--max-frames", str(KEYFRAMES), "--backend", "offline", "--yes"], CORES))
    cost = min(costs, key=lambda run: run.seconds)
    return LookReading(
        look=style[1],
        keyframes=len(read_result(runs[0]).indices),
        seconds=round(cost.seconds, 2),
        processor_seconds=round(cost.processor, 2),
        megabytes=round(cost.megabytes, 1),
        identical=_left(runs[0]) == _left(runs[1]),
    )


def _left(run: Path) -> dict[str, bytes]:
    """What a run leaves for the editor, by name."""
    files = [run / "keyframes.json", *(run / "keyframes").iterdir()]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def to_markdown(store: Path) -> str:
    """A record as a table with one line per look."""
    held = json.loads(store.read_text(encoding="utf-8"))
    known = {field.name for field in fields(LookReading)}
    readings = [LookReading(**{name: row[name] for name in known}) for row in held["looks"]]
    heads = ("look", "seconds", "processor seconds", "MB", "two runs, same bytes")
    rows = [
        (r.look, f"{r.seconds:.1f}", f"{r.processor_seconds:.1f}", f"{r.megabytes:.0f}", "yes" if r.identical else "no")
        for r in readings
    ]
    said = (
        f"{readings[0].keyframes} keyframes of {held['clip']}, the whole command on {CORES} cores; at most {SECONDS:g} "
        f"s and {MEGABYTES:g} MB are allowed:"
    )
    return f"{said}\n\n{markdown(heads, rows)}"


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
