"""`python -m benchmarks gpu`: how fast the real models run, in how much memory, with random weights at their size.

A section yields rows, and the file is written after every one: a time limit or a lost machine loses none.
"""

import gc
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.synthetic import KEYFRAMES, Bench, drawn_clip, synthetic_model, velocities
from benchmarks.table import markdown
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.environment import machine, versions
from flowedit.errors import SettingError
from flowedit.files import write_json
from flowedit.model import to_pixels
from flowedit.presets import preset_settings
from flowedit.settings import EditSettings
from flowedit.wan.adapter import WanVideo
from flowedit.wan.pace import set_pace
from flowedit.wan.parallel import Spread

PLAIN, FAST = "vendor's plain path", "fast path (compiled)"
FEW = EditSettings(conditioning="tokens", steps=8)
UNGUIDED, DEFAULT_LAZY = "edit of 8 steps, unguided", "default preset, guided, at the pace lazy"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured thing; what does not apply is None.

    `keyframes` in the sequence; median `seconds`; `tflops`, the floating-point operations that it asks for, in 10**12;
    `peak_gb`, the most GPU memory in use meanwhile, in 10**9 bytes; `error`, relative to the path before, rms.
    """

    section: str
    checkpoint: str
    name: str
    keyframes: int = 0
    seconds: float | None = None
    tflops: float | None = None
    peak_gb: float | None = None
    error: float | None = None
    note: str = ""


@dataclass
class Record:
    """The file: what it was measured on and of what, and the rows."""

    about: dict[str, Any]
    rows: list[Row] = field(default_factory=list[Row])


Found = dict[str, Any]
"""Fields of a row."""
Section = Callable[[Bench], Iterator[Found]]


def read_record(path: Path) -> Record:
    """Read a file that `run_gpu` wrote.

    Raises:
        SettingError: it is not there, or something else.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Record(held["about"], [Row(**row) for row in held["rows"]])
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(f"{path} is no record of `python -m benchmarks gpu`; give --json another name.") from None


def run_gpu(sections: Mapping[str, Section], benches: Sequence[Bench], path: Path, *, rank: int = 0) -> Iterator[Row]:
    """Measure sections of every checkpoint, writing the file as rows come; other sections that it holds stay.

    Args:
        sections: by name.
        benches: the checkpoints.
        path: the record.
        rank: of several processes started by `torchrun`, of which the first one alone writes.

    Raises:
        SettingError: no GPU, and not a rehearsal; or the file is of another machine.
    """
    small = benches[0].small
    if not torch.cuda.is_available() and not small:
        raise SettingError("There is no CUDA device here. Use --rehearse to run everything small on the CPU.")
    about = {"machine": machine(), "versions": versions(), "rehearsal": small, "clip": asdict(benches[0].shape)}
    record = read_record(path) if path.exists() else Record(about)
    if any(record.about[name] != value for name, value in about.items()):
        raise SettingError(f"{path} is of another machine, clip or version; give --json another name, or delete it.")
    for section, bench in product(sections, benches):
        place = section, bench.checkpoint.name
        record.rows = [row for row in record.rows if (row.section, row.checkpoint) != place]
        for found in sections[section](bench):
            record.rows.append(Row(section=section, checkpoint=bench.checkpoint.name, **found))
            if not rank:
                write_json(path, asdict(record), indent=1)
            yield record.rows[-1]
        torch.compiler.reset()
        gc.collect()
        torch.cuda.empty_cache()


def forward_rows(bench: Bench, spread: Spread | None = None) -> Iterator[Found]:
    """Velocities and the VAE, plain and fast; or, in several processes, velocities on one GPU and on all of them."""
    torch.manual_seed(0)  # every process builds the same transformer
    model, expected = synthetic_model(bench), dict[str, Tensor]()
    works = velocities(bench, model)
    if spread is None:
        paths = {PLAIN: partial(set_pace, model, "plain"), FAST: partial(set_pace, model, "fast")}
        pixels = to_pixels(drawn_clip(bench.shape)[0]).to(bench.device)
        latents = model.encode(pixels)
        works["VAE encode"] = {}, lambda: model.encode(pixels)
        works["VAE decode"] = {}, lambda: model.decode(latents)
    else:
        paths = {f"{FAST} on 1 GPU": partial(set_pace, model, "fast")}
        paths[f"{FAST} on {spread.size} GPUs"] = partial(set_pace, model, "fast", spread=spread)
    for path, begin in paths.items():
        begin()
        for name, (about, work) in works.items():
            with torch.inference_mode():
                found, expected[name] = measured(work, bench.device, expected.get(name))
            yield {"name": f"{path}: {name}", **about, **found}


def edit_rows(bench: Bench) -> Iterator[Found]:
    """A short edit with joint keyframes at the pace fast, and a preset's at the pace lazy: a row for each stage."""
    preset = preset_settings(bench.checkpoint.name)
    edits = {
        UNGUIDED: ("fast", FEW),
        DEFAULT_LAZY: ("lazy", preset.with_(steps=2) if bench.small else preset),
    }
    model = synthetic_model(bench)
    for name, (pace, settings) in edits.items():
        set_pace(model, pace)
        begun = time.perf_counter()
        # What is compiled, and which kernels suit, is settled by one step before the clock starts.
        next(edit_steps(prepare(*drawn_clip(bench.shape), model, settings)))
        yield {
            "name": f"{name}: loaded, to its first step",
            "keyframes": KEYFRAMES,
            "seconds": time.perf_counter() - begun,
        }
        seconds, peak = peaking(partial(_edit, bench, model, settings), bench.device)
        for stage, taken in seconds.items():
            yield {"name": f"{name}: {stage}", "keyframes": KEYFRAMES, "seconds": taken, "peak_gb": peak}


def _edit(bench: Bench, model: WanVideo, settings: EditSettings) -> dict[str, float]:
    """Edit a drawn clip; seconds of each stage and of all."""
    clip, begun = drawn_clip(bench.shape), time.perf_counter()
    prepared = prepare(*clip, model, settings)
    result = finish(prepared, deque(edit_steps(prepared), maxlen=1).pop().latents)
    return {**result.seconds, "total": time.perf_counter() - begun}


SECTIONS: dict[str, Section] = {"forward": forward_rows, "edit": edit_rows}


def measured(work: Callable[[], Tensor], device: str, expected: Tensor | None) -> tuple[Found, Tensor]:
    """Median seconds of three runs after a first one, peak memory and error of some work; and what it made."""
    made, peak = peaking(work, device)
    error = None if expected is None else relative_error(made, expected)
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return {"seconds": median(seconds), "peak_gb": peak, "error": error}, made


def peaking(work: Callable[[], Any], device: str) -> tuple[Any, float | None]:
    """What work made, and the most memory, in GB, that PyTorch held on the GPU meanwhile; None on a CPU."""
    if device == "cpu":
        return work(), None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    made = work()
    torch.cuda.synchronize()
    return made, torch.cuda.max_memory_allocated() / 1e9


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of what was expected."""
    difference = (found.double() - expected.double()).square().mean().sqrt()
    return float(difference / expected.double().square().mean().sqrt())


def where(record: Record) -> str:
    """What the rows were measured on, and of what."""
    gpu, versions, clip = record.about["machine"]["gpu"], record.about["versions"], record.about["clip"]
    kernel = f", FlashAttention-3 (fa3-fwd {versions['fa3-fwd']})" if "fa3-fwd" in versions else ""
    return (
        f"{gpu or 'a CPU (rehearsal)'}, torch {versions.get('torch', '?')}, diffsynth {versions.get('diffsynth', '?')}"
        f"{kernel}; {clip['num_frames']} frames of {clip['width']}x{clip['height']}, bfloat16"
    )


def rows_of(record: Record, checkpoint: str, sections: Sequence[str]) -> str:
    """A table of what some sections measured of a checkpoint."""
    rows = [row for row in record.rows if row.checkpoint == checkpoint and row.section in sections]
    shown = {name: cell for name, cell in CELLS.items() if any(cell(row) for row in rows)}
    lines = [(row.name, row.keyframes or "", *(cell(row) for cell in shown.values())) for row in rows]
    return markdown(("what", "keyframes", *shown), lines)


def _seconds(row: Row) -> str:
    if row.seconds is None:
        return ""
    return f"{row.seconds:.2f} s" if row.seconds >= 10 else f"{1e3 * row.seconds:.4g} ms"


CELLS: dict[str, Callable[[Row], str]] = {
    "time": _seconds,
    "rate": lambda row: f"{row.tflops / row.seconds:.0f} TFLOP/s" if row.tflops and row.seconds else "",
    "peak memory": lambda row: f"{row.peak_gb:.1f} GB" if row.peak_gb is not None else "",
    "error": lambda row: f"{row.error:.1e}" if row.error is not None else "",
}
"""A row as cells of a table."""
