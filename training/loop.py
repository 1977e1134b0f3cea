"""What both trainings share: processes, clock, the loop itself, its curve, and states to resume from."""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from flowedit.files import atomic_write
from training.optim import Muon, learning_rate

log = logging.getLogger("flowedit.training")
Readings = dict[str, Tensor]
"""Numbers of one step by name, on the device; NaN for what a step did not measure."""


@dataclass
class Run:
    """One training run, in one or several processes: the command's options, and the following.

    Attributes:
        done: seconds and steps of the run that is resumed.
        rank: number of this process.
        world: number of processes.
        device: where this process computes.
    """

    out: Path
    minutes: float = 0.0
    steps: int = 0
    config: str = "shipped"
    photographs: Path = Path("photographs")
    resume: bool = False
    start: Path | None = None
    extra: Path | None = None
    seed: int = 0
    peak: float = 0.0
    plain: bool = False
    done: tuple[float, int] = (0.0, 0)
    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _share: float = 0.0
    _start: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, settings: dict[str, Any]) -> "Run":
        """Join the processes, pick the device, and start the clock; `settings` are fields of this class."""
        run = cls(**settings, rank=int(os.environ.get("RANK", "0")), world=int(os.environ.get("WORLD_SIZE", "1")))
        if torch.cuda.is_available():
            run.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(run.device)
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.allow_tf32 = True
        if run.world > 1:
            dist.init_process_group("nccl" if run.device.type == "cuda" else "gloo")
        run.out.mkdir(parents=True, exist_ok=True)
        level = logging.INFO if run.main else logging.ERROR
        logging.basicConfig(level=level, format="%(asctime)s %(message)s", force=True)
        torch.manual_seed(run.seed * 1000 + run.rank)
        return run

    @property
    def smoke(self) -> bool:
        """Whether this is a rehearsal of seconds."""
        return self.config == "smoke"

    @property
    def main(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    @property
    def seconds(self) -> float:
        """Seconds used so far, earlier runs included."""
        return self.done[0] + time.monotonic() - self._start

    def progress(self, step: int) -> float:
        """How much of the run is over after so many steps, the same number in every process.

        Of the steps where a number of them was given, else of the time, read at every fourth step.
        """
        if self.steps:
            return step / self.steps
        if step % 4 == 0:
            self._share = self.agreed(self.seconds / (60 * self.minutes))
        return self._share

    def agreed(self, value: float) -> float:
        """Give every process the main one's number."""
        box = torch.tensor([value], device=self.device, dtype=torch.float64)
        if self.world > 1:
            dist.broadcast(box, 0)
        return float(box)

    def autocast(self) -> torch.autocast:
        """bfloat16 on a GPU, float32 on a CPU."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda")

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function compiled, on a GPU."""
        return torch.compile(function, dynamic=True) if self.device.type == "cuda" and not self.plain else function

    def wait(self) -> None:
        """Wait for the device, so that the clock is true."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def close(self) -> None:
        """Leave the other processes."""
        if self.world > 1:
            dist.barrier()
            dist.destroy_process_group()


@dataclass
class Trainer:
    """What is trained, and how.

    Attributes:
        name: of the training; its files begin with it.
        model: all weights that are trained.
        optimiser: of the model.
        average: the version that is shipped.
        peak: highest learning rate.
        finish: writes the averaged weights.
    """

    name: str
    model: nn.Module
    optimiser: Muon
    average: AveragedModel
    peak: float
    finish: Callable[[], None]

    def save(self, run: Run, step: int) -> None:
        """Write the weights, and what a resumed run needs."""
        self.finish()
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
            "done": [run.seconds, step],
        }
        with atomic_write(run.out / f"{self.name}_state.pt") as part:
            torch.save(state, part)

    def load(self, run: Run) -> None:
        """Take up a saved state, or give every process the main one's weights."""
        if run.resume:
            state = torch.load(run.out / f"{self.name}_state.pt", map_location=run.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.load_state_dict(state["average"])
            run.done = tuple(state["done"])
        elif run.world > 1:
            for value in self.model.state_dict().values():
                dist.broadcast(value, 0)

    def train(self, run: Run, step: Callable[[int, float], Readings]) -> None:
        """Step until the time is over; log, draw the curve and save now and then.

        Args:
            run: the clock.
            step: does everything of a step but the optimiser's part, from its number and the share that is over.
        """
        number, warmup, every = run.done[1], 5 if run.smoke else 150, 2 if run.smoke else 15
        begun, reported, saved, seen = number, time.monotonic(), 0, []
        while (progress := run.progress(number)) < 1.0:
            seen.append(step(number, progress))
            rate = learning_rate(self.peak, progress, step=number - begun, warmup=warmup)
            norm = self.optimiser.step(rate)
            self.average.update_parameters(self.model)
            number += 1
            if time.monotonic() - reported > every:
                reported = time.monotonic()
                _report(run, self.name, seen, {"step": number, "share": progress, "rate": rate, "norm": float(norm)})
                seen = []
                if run.main and int(progress * 4) > saved:
                    saved = int(progress * 4)
                    self.save(run, number)
        log.info("%s trained for %d steps of %d processes", self.name, number, run.world)
        if run.main:
            self.save(run, number)


def _report(run: Run, name: str, seen: list[Readings], more: dict[str, float]) -> None:
    """Log the means of the readings since the last report, and add them to the curve."""
    means = {key: float(torch.stack([one[key].float() for one in seen]).nanmean()) for key in seen[0]}
    line = {"seconds": run.seconds, **more, **means}
    log.info("%s %s", name, ", ".join(f"{key} {value:.4g}" for key, value in line.items()))
    if run.main:
        with (run.out / f"{name}_curve.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def save_half(state: dict[str, Tensor], path: Path, steps: int) -> None:
    """Write weights of so many steps as float16 safetensors, all at once or not at all."""
    half = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()}
    with atomic_write(path) as part:
        save_file(half, part, metadata={"format": "pt", "steps": str(steps)})
