"""What both training runs share: processes, clock, log, checkpoints."""

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger("flowedit.tiny")


@dataclass
class Run:
    """One training run, in one or several processes.

    Attributes:
        out: folder for checkpoints.
        minutes: how long to train; every schedule follows the clock.
        config: ``shipped`` or ``smoke``.
        resume: folder of an earlier run to go on from.
        start: folder of weights to begin with.
        images: folder of the photographs.
        extra: Python file of one more world.
        seed: number of the first process's training seed.
        plain: compile nothing.
        steps: how many steps to train instead of ``minutes``, for tests that must not depend on a clock.
        rank: number of this process.
        world: number of processes.
        device: where this process computes.
        done: seconds that earlier runs have already used of ``minutes``.
    """

    out: Path
    minutes: float
    config: str = "shipped"
    resume: Path | None = None
    start: Path | None = None
    images: Path | None = None
    extra: Path | None = None
    seed: int = 0
    done: float = 0.0
    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    plain: bool = False
    steps: int = 0
    _share: float = 0.0
    _start: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, settings: dict[str, Any]) -> "Run":
        """Join the processes, pick the device, and start the clock.

        Args:
            settings: the fields of this class.

        Returns:
            The run.
        """
        run = cls(**settings)
        run.rank, run.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if torch.cuda.is_available():
            run.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(run.device)
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.allow_tf32 = True
        if run.world > 1:
            dist.init_process_group("nccl" if run.device.type == "cuda" else "gloo")
        run.out.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(
            level=logging.INFO if run.main else logging.ERROR, format="%(asctime)s %(message)s", force=True
        )
        torch.manual_seed(run.seed)
        return run

    @property
    def compiles(self) -> bool:
        """Whether hot functions are compiled."""
        return self.device.type == "cuda" and not self.plain

    @property
    def main(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    @property
    def seconds(self) -> float:
        """Seconds used so far, earlier runs included."""
        return self.done + time.monotonic() - self._start

    def progress(self, step: int) -> float:
        """Say how much of the run is over, the same number in every process.

        Args:
            step: steps done.

        Returns:
            The share of the steps where a number of them was given, else of the time; the clock is read at every
            fourth step.
        """
        if self.steps:
            return step / self.steps
        if step % 4:
            return self._share
        share = torch.tensor([self.seconds / (60 * self.minutes)], device=self.device)
        if self.world > 1:
            dist.broadcast(share, 0)
        self._share = float(share)
        return self._share

    def autocast(self) -> torch.autocast:
        """bfloat16 on a GPU, float32 on a CPU."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda")

    def share(self, value: float) -> float:
        """Give every process the main one's number."""
        box = torch.tensor([value], device=self.device, dtype=torch.float64)
        if self.world > 1:
            dist.broadcast(box, 0)
        return float(box)

    def same_start(self, module: torch.nn.Module) -> None:
        """Give every process the main one's weights."""
        if self.world > 1:
            for value in module.state_dict().values():
                dist.broadcast(value, 0)

    def close(self) -> None:
        """Leave the other processes."""
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()


def save_half(state: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write weights as float16 safetensors, all at once or not at all.

    Args:
        state: the weights.
        path: the file.
        metadata: texts to store in its header.
    """
    half = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()}
    partial = path.with_suffix(".partial")
    save_file(half, partial, metadata=metadata)
    partial.replace(path)
