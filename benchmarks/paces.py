"""What each pace does to an edit of the shipped small model, whose weights are trained: error and gap.

The GPU benchmark has random weights, which say nothing about how much of an edit a pace loses. Here the same edit
is made by every one, and compared with the vendor's blocks in float32.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.gpu import relative_error
from benchmarks.tables import markdown
from benchmarks.worlds import own_case
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.environment import machine, versions
from flowedit.files import write_bytes
from flowedit.metrics import psnr
from flowedit.settings import EditSettings
from flowedit.tiny.load import build_pipeline
from flowedit.wan.adapter import WanVideo
from flowedit.wan.pace import set_pace

FRAMES, STEPS, FEW = 17, 12, (8, 4)
PLAIN = "plain"
_CAP_DB = 99.0


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
    error: float
    psnr_db: float | None
    gap: float


Setting = Callable[[WanVideo], None]


def pace_rows(scene: int = 0) -> Iterator[PaceRow]:
    """Make one edit of a test scene in every way.

    Args:
        scene: number of the scene in the test split.
    """
    case, settings = own_case(scene), _settings()
    settings = settings.with_(prompt=case.caption, source_prompt=case.source_caption)
    keyframes = tuple(keyframe for keyframe in case.keyframes if keyframe.index < FRAMES)
    case = replace(case, frames=case.frames[:FRAMES], keyframes=keyframes)
    plain: tuple[Tensor, Any] | None = None
    for name, dtype, vendor_state, setting in _ways():
        model = WanVideo(build_pipeline("cpu", dtype), name="tiny", vendor_state=vendor_state)
        row, made = _edit(name, case, settings, model, setting)
        plain = plain or made
        yield _compared(row, made, plain)
    for steps in FEW:
        model = WanVideo(build_pipeline("cpu", torch.float32), name="tiny")
        row, made = _edit(f"{steps} steps", case, settings.with_(steps=steps), model, _none)
        yield _compared(row, made, plain or made)


def _settings() -> EditSettings:
    """Joint tokens and guidance, which lazy guidance acts on; without the token LoRA, as real checkpoints have none."""
    return EditSettings(
        conditioning="tokens", keyframe_encoding="delta", steps=STEPS, guidance=2.0, shift=3.0,
        detail="plain",
    )  # fmt: skip


def _ways() -> Iterator[tuple[str, torch.dtype, bool, Setting]]:
    """Name, type of the weights, whether the state is kept in it, and what is set on the model."""
    wide, narrow = torch.float32, torch.bfloat16
    yield PLAIN, wide, False, _none
    yield "fast", wide, False, _paced("fast")
    for every in (2, 3, 4):
        yield f"negative prompt every {every} steps", wide, False, _lazy(every)
    yield "bfloat16, state in float32", narrow, False, _none
    yield "bfloat16, state in bfloat16 as the vendor keeps it", narrow, True, _none


def _none(model: WanVideo) -> None:
    del model


def _paced(pace: str) -> Setting:
    def setting(model: WanVideo) -> None:
        set_pace(model, pace)

    return setting


def _lazy(every: int) -> Setting:
    def setting(model: WanVideo) -> None:
        model.negative_every = every

    return setting


def _edit(
    name: str, case: Case, settings: EditSettings, model: WanVideo, setting: Setting
) -> tuple[PaceRow, tuple[Tensor, Any]]:
    """One edit: what it took, and its latents and frames."""
    pipe: Any = model.pipe
    calls, inner = [], pipe.model_fn
    pipe.model_fn = lambda **given: (calls.append(1), inner(**given))[1]
    setting(model)
    prepared = prepare(case.frames, case.keyframes, model, settings)
    begun = time.perf_counter()
    last = deque(edit_steps(prepared), maxlen=1).pop()
    seconds = time.perf_counter() - begun
    frames = finish(prepared, last.latents).frames
    gap = mean(prepared.trace.steps[-1].gap_norm)
    row = PaceRow(name=name, forwards=len(calls), seconds=seconds, error=0.0, psnr_db=0.0, gap=gap)
    return row, (last.latents, frames)


def _compared(row: PaceRow, made: tuple[Tensor, Any], plain: tuple[Tensor, Any]) -> PaceRow:
    error = relative_error(made[0].float(), plain[0])
    return replace(row, error=error, psnr_db=float(psnr(made[1], plain[1], cap=_CAP_DB).mean()) if error else None)


def write_paces(rows: list[PaceRow], path: Path) -> None:
    """Keep the rows with where they were measured."""
    record = {"machine": machine(), "versions": versions(), "rows": [asdict(row) for row in rows]}
    write_bytes(path, json.dumps(record, indent=1, allow_nan=False).encode())


def read_paces(path: Path) -> list[PaceRow]:
    """The rows that `write_paces` kept."""
    return [PaceRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def paces_markdown(rows: list[PaceRow]) -> str:
    """The rows as a table; times are those of a CPU."""
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
    return markdown(("way", "forwards", "steps", "error", "frames against plain", "gap left"), lines)
