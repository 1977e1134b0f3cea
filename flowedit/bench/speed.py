"""`flowedit bench speed`: whole commands on this machine, and the cost of a step against the number of tokens."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flowedit.frames import slot_count
from flowedit.methods.branches import shared_positions
from flowedit.model import ClipShape, Condition
from flowedit.wan.adapter import WanVideo

FRAMES = (17, 33, 49, 65, 81, 97, 113, 129)
KEYFRAMES = (1, 3, 5, 7, 9)
REFERENCE = (33, 3)
"""Frames and keyframes of the one measurement that the prediction is scaled by."""


@dataclass(frozen=True, kw_only=True)
class CommandTime:
    """A whole command, in a process of its own.

    Attributes:
        name: what was run.
        seconds: wall-clock time of each run.
        peak_mb: most resident memory over the runs, in MB (10**6 bytes).
    """

    name: str
    seconds: list[float]
    peak_mb: float


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One forward of the transformer.

    Attributes:
        frames: pixel frames of the clip.
        keyframes: keyframe tokens' slots in the joint sequence.
        tokens: length of the sequence.
        seconds: median wall-clock time.
        predicted: what the token count says, scaled at `REFERENCE`.
    """

    frames: int
    keyframes: int
    tokens: int
    seconds: float
    predicted: float


def time_commands(repeats: int = 3) -> Iterator[CommandTime]:
    """Time `import flowedit`, `flowedit --help`, and both presets of `flowedit edit` on a clip of 33 frames.

    Model loading and video writing are included; the clip and its keyframes are made before the clock starts.
    """
    from flowedit.demo import make_demo

    python = [sys.executable, "-m", "flowedit"]
    yield _time_command("import flowedit", [sys.executable, "-c", "import flowedit"], repeats)
    yield _time_command("flowedit --help", [*python, "--help"], repeats)
    with tempfile.TemporaryDirectory() as folder:
        inputs = make_demo(Path(folder), style="comic", scene=3)
        keyframes = [argument for _, path in inputs.keyframes for argument in ("-k", str(path))]
        at = ",".join(str(index) for index, _ in inputs.keyframes)
        for preset in ("default", "draft"):
            edit = [*python, "edit", str(inputs.video), *keyframes, "--at", at, "--preset", preset]
            out = ["-o", str(Path(folder) / preset), "--overwrite"]
            yield _time_command(f"flowedit edit --preset {preset}", [*edit, *out], repeats)


def _time_command(name: str, command: Sequence[str], repeats: int) -> CommandTime:
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    return CommandTime(name=name, seconds=seconds, peak_mb=peak)


def time_steps(model: WanVideo, size: tuple[int, int] = (128, 128), repeats: int = 3) -> list[StepTime]:
    """Time a forward as the clip grows, with no keyframe tokens, and as keyframes grow, at 33 frames."""
    grids = [(frames, 0) for frames in FRAMES] + [(REFERENCE[0], count) for count in KEYFRAMES]
    measured = {grid: _time_forward(model, *grid, size, repeats) for grid in dict.fromkeys([REFERENCE, *grids])}
    tokens = {grid: _tokens(*grid, size) for grid in measured}
    scale = measured[REFERENCE] / _operations(model, tokens[REFERENCE])
    return [
        StepTime(
            frames=frames,
            keyframes=count,
            tokens=tokens[frames, count],
            seconds=measured[frames, count],
            predicted=scale * _operations(model, tokens[frames, count]),
        )
        for frames, count in grids
    ]


def _time_forward(model: WanVideo, frames: int, count: int, size: tuple[int, int], repeats: int) -> float:
    slots = list(np.linspace(0, slot_count(frames) - 1, count).round().astype(int)) if count else []
    shape = ClipShape(num_frames=frames, height=size[0], width=size[1])
    prepared = model.prepare(Condition(shape=shape, key_slots=tuple(slots)))
    channels = model.pipe.vae.z_dim
    latents = torch.randn(1, channels, slot_count(frames) + count, size[0] // 8, size[1] // 8)
    positions = shared_positions(slot_count(frames), slots)

    def forward() -> None:
        with torch.inference_mode():
            model.velocity(latents, 0.5, prepared, positions)

    return _median_seconds(forward, repeats)


def _median_seconds(call: Callable[[], None], repeats: int) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _tokens(frames: int, count: int, size: tuple[int, int]) -> int:
    return (slot_count(frames) + count) * (size[0] // 16) * (size[1] // 16)


def _operations(model: WanVideo, tokens: int) -> float:
    """Multiply-adds of one forward: every weight once a token, and attention between all pairs of tokens."""
    dit = model.pipe.dit
    weights = sum(parameter.numel() for parameter in dit.blocks.parameters())
    return tokens * weights + 2 * len(dit.blocks) * dit.dim * tokens**2
