"""Source and keyframes as tokens of their own: a section of the GPU benchmark, and which cards hold such models."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.gpu import FAST, KEYFRAMES, PLAIN, Bench, Record, Row, measured
from benchmarks.synthetic import Wordless, drawn_clip, forward_operations, synthetic_pipeline
from benchmarks.table import markdown
from flowedit.frames import slot_count
from flowedit.lessons.forecast import level_on
from flowedit.model import Condition, to_pixels
from flowedit.presets import preset_settings
from flowedit.wan.adapter import Trained
from flowedit.wan.checkpoints import resolve
from flowedit.wan.fast import use_fast_blocks
from flowedit.wan.memory import forward_lengths, keyframes_in, token_count
from flowedit.wan.parallel import Spread
from flowedit.wan.placement import GB, needs_of, own_clip

ALONE, SOURCE, WHOLE, GUIDED = "clip alone", "source shown", "source and keyframes shown", "guided, all four forwards"
RESTYLING = ("Wan2.1-Fun-1.3B-InP", "Wan2.1-VACE-1.3B", "Bernini-R-1.3B", "Wan2.1-I2V-14B-480P", "Wan2.1-VACE-14B")
"""Checkpoints that take keyframes at any frame, with weights that many cards hold."""
CARDS = (12, 24, 80)


def segment_rows(bench: Bench) -> Iterator[Row]:
    """Velocities of the clip alone, and with more and more shown, plain and on the fast path."""
    if bench.checkpoint.image_route != "segments":
        return
    with torch.inference_mode():
        pipe, works = _works(bench)
        expected: dict[str, Tensor] = {}
        for path in (PLAIN, FAST):
            if path == FAST:
                use_fast_blocks(pipe.dit, backend=bench.backend)
            for name, work in works.items():
                found, expected[name] = measured(work, bench.device, expected.get(name), repeats=3)
                yield _row(bench, f"{path}: {name}", name, **found)


def spread_segment_rows(bench: Bench, spread: Spread) -> Iterator[Row]:
    """The forward with everything shown on one GPU, and on all of them together, compared."""
    torch.manual_seed(0)
    with torch.inference_mode():
        pipe, works = _works(bench)
        expected = None
        for where, shared in (("1 GPU", None), (f"{spread.size} GPUs", spread)):
            use_fast_blocks(pipe.dit, shared, backend=bench.backend)
            dist.barrier()
            found, expected = measured(works[WHOLE], bench.device, expected, repeats=3)
            yield _row(bench, f"{FAST}, {where}: {WHOLE}", WHOLE, **found)


def _row(bench: Bench, said: str, name: str, **found: Any) -> Row:  # noqa: ANN401 - fields of a row
    keyframes = KEYFRAMES if name in (WHOLE, GUIDED) else 0
    return bench.row("segments", said, keyframes=keyframes, tflops=_operations(bench, name), **found)


def _works(bench: Bench) -> tuple[Any, dict[str, Callable[[], Tensor]]]:
    """A pipeline, and the velocities of its model by what is shown."""
    pipe: Any = synthetic_pipeline(bench)
    model = Wordless(pipe, name=bench.checkpoint.name, trained=Trained(segments=True))
    clip, keyframes = drawn_clip(bench.shape)
    slots, pictures = slot_count(bench.shape.num_frames), {keyframe.index: keyframe.image for keyframe in keyframes}
    conditions = {
        ALONE: Condition(shape=bench.shape),
        SOURCE: Condition(shape=bench.shape, source=clip),
        WHOLE: Condition(shape=bench.shape, source=clip, images=pictures),
        GUIDED: Condition(shape=bench.shape, source=clip, images=pictures, guidance=bench.checkpoint.guidance),
    }
    noise = torch.randn_like(model.encode(to_pixels(clip)))
    prepared = {name: model.prepare(condition) for name, condition in conditions.items()}
    return pipe, {name: partial(model.velocity, noise, 0.7, one, range(slots)) for name, one in prepared.items()}


def against_tokens(record: Record) -> str:
    """How long a forward with everything shown takes, against what its tokens predict of the clip alone."""
    rows = {row.name: row for row in record.rows if row.section == "segments"}
    lines: list[str] = []
    for path in (PLAIN, FAST):
        alone, whole, guided = (rows[f"{path}: {name}"] for name in (ALONE, WHOLE, GUIDED))
        assert alone.seconds and whole.seconds and guided.seconds and alone.tflops and whole.tflops  # noqa: S101
        ratio, asked = whole.seconds / alone.seconds, whole.tflops / alone.tflops
        settings = preset_settings(whole.checkpoint)
        velocities = 2 * (settings.steps - round((1 - settings.strength) * settings.steps))
        lines.append(
            f"- {path}: {ratio:.2f} times the clip alone, {ratio / asked:.2f} times what its operations predict; "
            f"the {velocities} guided velocities of the default preset {velocities * guided.seconds / 60:.1f} minutes"
        )
    return "\n".join(lines)


def cards_table() -> str:
    """Memory of the default preset with five keyframes, and where the weights rest on cards of several sizes."""
    head = ("checkpoint", "clip", "longest forward", "forwards", "whole on the GPU", "weights on the host")
    lines: list[tuple[object, ...]] = []
    for entry in map(resolve, RESTYLING):
        shape, settings = own_clip(entry), preset_settings(entry.name)
        added = keyframes_in(entry, settings.conditioning, KEYFRAMES)
        lengths = forward_lengths(entry, shape, settings, KEYFRAMES)
        whole, streamed = (needs_of(entry, shape, level, keyframes=added).gpu / GB for level in ("resident", "offload"))
        lines.append(
            (
                entry.name,
                f"{shape.num_frames} of {shape.width}x{shape.height}",
                f"{token_count(entry, shape, added)} tokens",
                len(lengths),
                f"{whole:.1f} GB",
                f"{streamed:.1f} GB",
                *(level_on(card, entry, shape, host=64, keyframes=added) for card in CARDS),
            )
        )
    return markdown((*head, *(f"{card} GB card" for card in CARDS)), lines)


def _operations(bench: Bench, name: str) -> float:
    """Floating-point operations, in 10**12, of the forwards of a velocity."""
    clip = token_count(bench.checkpoint, bench.shape) // 2
    whole = token_count(bench.checkpoint, bench.shape, KEYFRAMES)
    lengths = {ALONE: [clip], SOURCE: [2 * clip], WHOLE: [whole], GUIDED: [clip, 2 * clip, whole, whole]}
    return sum(forward_operations(bench.checkpoint.width, length) for length in lengths[name])
