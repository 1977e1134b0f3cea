"""What each pace does to an edit of the shipped small model, whose weights are trained: error and gap.

The GPU benchmark has random weights, which say nothing about how much of an edit a pace loses. Here the same edit
is made by every one, and compared with the vendor's blocks in float32.
"""

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.gpu import relative_error
from benchmarks.tables import markdown
from benchmarks.worlds import SMALL_SIZE, own_case
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.environment import machine, versions
from flowedit.files import write_json
from flowedit.metrics import psnr
from flowedit.settings import EditSettings
from flowedit.tiny.load import build_pipeline
from flowedit.wan.adapter import WanVideo
from flowedit.wan.pace import set_pace

FRAMES, STEPS = 17, 12
JOINT = EditSettings(
    conditioning="tokens", keyframe_encoding="delta", guidance=2.0, shift=3.0, detail="plain", steps=STEPS
)
"""Joint tokens and guidance, which lazy guidance acts on; without the token LoRA, as real checkpoints have none."""
_CAP_DB = 99.0


class Way(NamedTuple):
    """A pace, steps from one forward of the negative prompt to the next, steps, and types of weights and state."""

    pace: str = "plain"
    every: int = 1
    steps: int = STEPS
    dtype: torch.dtype = torch.float32
    vendor_state: bool = False


WAYS = {
    "plain": Way(),
    "fast": Way("fast"),
    **{f"negative prompt every {every} steps": Way(every=every) for every in (2, 3, 4)},
    "bfloat16, state in float32": Way(dtype=torch.bfloat16),
    "bfloat16, state in bfloat16 as the vendor keeps it": Way(dtype=torch.bfloat16, vendor_state=True),
    **{f"{steps} steps": Way(steps=steps) for steps in (8, 4)},
}


@dataclass(frozen=True, kw_only=True)
class PaceRow:
    """One way of making the same edit.

    Attributes:
        name: of the way.
        forwards: of the transformer.
        seconds: of the steps.
        error: relative root mean square of the difference of the final latents to the plain edit's.
        psnr_db: of the frames against the plain edit's; None where the latents are the same.
        gap: mean over keyframes of what the correction left open, 1 = nothing carried over.
    """

    name: str
    forwards: int
    seconds: float
    error: float = 0.0
    psnr_db: float | None = None
    gap: float


def pace_rows(scene: int = 0) -> Iterator[PaceRow]:
    """Make one edit of a test scene in every way; the first one is the plain edit.

    Args:
        scene: number of the scene in the test split.
    """
    case, plain = own_case(scene, size=SMALL_SIZE), None
    for name, way in WAYS.items():
        row, latents, frames = _edit(name, case, way)
        plain = plain or (latents, frames)
        error = relative_error(latents.float(), plain[0])
        yield replace(row, error=error, psnr_db=float(psnr(frames, plain[1], cap=_CAP_DB).mean()) if error else None)


def _edit(name: str, case: Case, way: Way) -> tuple[PaceRow, Tensor, np.ndarray]:
    """One edit: what it took, and its latents and frames."""
    model = WanVideo(build_pipeline("cpu", way.dtype), name="tiny", vendor_state=way.vendor_state)
    set_pace(model, way.pace)
    model.negative_every = way.every
    pipe: Any = model.pipe
    calls, inner = [], pipe.model_fn
    pipe.model_fn = lambda **given: (calls.append(1), inner(**given))[1]
    keyframes = [keyframe for keyframe in case.keyframes if keyframe.index < FRAMES]
    settings = JOINT.with_(prompt=case.caption, source_prompt=case.source_caption, steps=way.steps)
    prepared = prepare(case.frames[:FRAMES], keyframes, model, settings)
    begun = time.perf_counter()
    last = deque(edit_steps(prepared), maxlen=1).pop()
    seconds = time.perf_counter() - begun
    gap = mean(prepared.trace.steps[-1].gap_norm)
    row = PaceRow(name=name, forwards=len(calls), seconds=seconds, gap=gap)
    return row, last.latents, finish(prepared, last.latents).frames


def write_paces(rows: Sequence[PaceRow], path: Path) -> None:
    """Keep the rows with where they were measured."""
    write_json(path, {"machine": machine(), "versions": versions(), "rows": [asdict(row) for row in rows]}, indent=1)


def read_paces(path: Path) -> list[PaceRow]:
    """The rows that `write_paces` kept."""
    return [PaceRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def to_markdown(rows: Sequence[PaceRow]) -> str:
    """The rows as a table; times are those of a CPU."""
    heads = ("way", "forwards", "steps", "error", "frames against plain", "gap left")
    lines = [
        (
            row.name,
            row.forwards,
            f"{row.seconds:.1f} s",
            f"{row.error:.1e}" if row.error else "0",
            "the same" if row.psnr_db is None else f"{row.psnr_db:.1f} dB",
            f"{row.gap:.3f}",
        )
        for row in rows
    ]
    return markdown(heads, lines)
