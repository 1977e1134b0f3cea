"""How long whole commands take here, what they hold, and what a step costs against the number of tokens."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.launch import launch
from flowedit.frames import slot_count
from flowedit.methods.branches import shared_positions
from flowedit.model import ClipShape, Condition
from flowedit.tiny.config import TEXT_LENGTH
from flowedit.wan.adapter import WanVideo

CORES = 2
FRAMES = (17, 33, 49, 65, 81, 97, 113, 129)
KEYFRAMES = (1, 3, 5, 7, 9)
SIZE = (128, 128)
TOLERANCE = 0.15
"""How far a step's cost may lie from what its token count predicts."""


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
    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]
    others: tuple[float, ...]
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


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One forward of the transformer.

    Attributes:
        frames: pixel frames of the clip.
        keyframes: keyframes in the joint sequence.
        tokens: length of the sequence.
        seconds: median wall-clock time.
        predicted: what the token count says: the time of a forward of one token, which reads every weight and the
            prompt, and the operations of the tokens at one rate for all rows.
    """

    frames: int
    keyframes: int
    tokens: int
    seconds: float
    predicted: float

    @property
    def deviation(self) -> float:
        """How far the time lies from the prediction, as a share of it; above 0 is slower."""
        return self.seconds / self.predicted - 1

    @property
    def met(self) -> bool:
        """Whether it lies within the tolerance."""
        return abs(self.deviation) <= TOLERANCE


def time_commands(repeats: int = 3) -> Iterator[CommandTime]:
    """Time `import flowedit`, `flowedit --help`, and both presets of `flowedit edit` on a clip of 33 frames.

    Model loading and video writing are included; the clip and its keyframes are made before the clock starts. One run
    before the ones that count brings the files into memory.
    """
    from flowedit.demo import make_demo

    python = [sys.executable, "-m", "flowedit"]
    yield _time_command("import flowedit", [sys.executable, "-c", "import flowedit"], repeats, (0.15, None))
    yield _time_command("flowedit --help", [*python, "--help"], repeats, (0.5, None))
    memory = 1500.0 if torch.version.cuda else 1000.0
    with TemporaryDirectory() as folder:
        inputs = make_demo(Path(folder), style="comic", scene=3)
        keyframes = [argument for _, path in inputs.keyframes for argument in ("-k", str(path))]
        at = ",".join(str(index) for index, _ in inputs.keyframes)
        for preset, seconds in (("default", 20.0), ("draft", 6.0)):
            edit = [*python, "edit", str(inputs.video), *keyframes, "--at", at, "--preset", preset]
            out = ["-o", str(Path(folder) / preset), "--overwrite"]
            yield _time_command(f"flowedit edit --preset {preset}", [*edit, *out], repeats, (seconds, memory))


def _time_command(name: str, command: Sequence[str], repeats: int, most: tuple[float, float | None]) -> CommandTime:
    runs = [launch(command) for _ in range(1 + repeats)][1:]
    return CommandTime(
        name=name,
        seconds=tuple(run.seconds for run in runs),
        processor_seconds=tuple(run.processor for run in runs),
        others=tuple(run.others for run in runs),
        megabytes=max(run.megabytes for run in runs),
        most_seconds=most[0],
        most_megabytes=most[1],
    )


def time_steps(model: WanVideo, size: tuple[int, int] = SIZE, repeats: int = 5) -> list[StepTime]:
    """Time a forward as the clip grows, with no keyframe tokens, and as keyframes grow, at 33 frames.

    The sizes take turns, so that what else the machine does falls on all of them; a forward of one token is among them.
    The rate of the prediction is the one whose largest relative error over the rows is smallest.

    Args:
        model: the small model, on the CPU.
        size: (height, width) of the clip.
        repeats: timed rounds, after one that does not count.
    """
    grids = [*product(FRAMES, (0,)), *product((33,), KEYFRAMES)]
    calls = [_forward(model, frames, count, size) for frames, count in grids]
    least = _forward(model, 1, 0, (16, 16))
    rounds = np.asarray([[_seconds(call) for call in [least, *calls]] for _ in range(1 + repeats)])[1:]
    fixed, *seconds = np.median(rounds, axis=0)
    tokens = [(slot_count(frames) + count) * (size[0] // 16) * (size[1] // 16) for frames, count in grids]
    operations = np.asarray([_operations(model, length) for length in tokens]) - _operations(model, 1)
    predicted = fixed + operations * common_rate(np.asarray(seconds), operations, fixed)
    return [
        StepTime(frames=frames, keyframes=count, tokens=length, seconds=float(took), predicted=float(said))
        for (frames, count), length, took, said in zip(grids, tokens, seconds, predicted, strict=True)
    ]


def common_rate(seconds: np.ndarray, operations: np.ndarray, fixed: float) -> float:
    """The seconds per operation with which the largest relative error of `fixed + rate * operations` is smallest.

    Args:
        seconds: measured, one a row.
        operations: of the same rows, above those of the fixed part.
        fixed: seconds that every row takes whatever its length.
    """
    each = (seconds - fixed) / operations
    rates = np.linspace(each.min(), each.max(), 2001)
    worst = np.abs(seconds / (fixed + rates[:, None] * operations) - 1).max(axis=1)
    return float(rates[worst.argmin()])


def _forward(model: WanVideo, frames: int, count: int, size: tuple[int, int]) -> Callable[[], object]:
    slots = np.linspace(0, slot_count(frames) - 1, count).round().astype(int).tolist()
    prepared = model.prepare(
        Condition(shape=ClipShape(num_frames=frames, height=size[0], width=size[1]), key_slots=tuple(slots))
    )
    latents = torch.randn(1, model.pipe.vae.z_dim, slot_count(frames) + count, size[0] // 8, size[1] // 8)
    return lambda: model.velocity(latents, 0.5, prepared, shared_positions(slot_count(frames), slots))


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    with torch.inference_mode():
        call()
    return time.perf_counter() - begun


def _operations(model: WanVideo, tokens: int) -> float:
    """Multiply-adds of one forward that grow with its tokens: weights that act on them, and attention.

    Keys and values of the prompt are made of the prompt, whatever the clip's length.
    """
    dit: Any = model.pipe.dit
    blocks, text = dit.blocks, TEXT_LENGTH
    weights = sum(parameter.numel() for parameter in blocks.parameters())
    prompt = sum(
        parameter.numel()
        for block in blocks
        for layer in (block.cross_attn.k, block.cross_attn.v)
        for parameter in layer.parameters()
    )
    return tokens * (weights - prompt) + 2 * len(blocks) * dit.dim * tokens * (tokens + text)
