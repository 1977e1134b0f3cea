"""What both trainings share: clock, the loop itself, its curve, and states to resume from."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
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
    """One training run: the command's options, and the following.

    Attributes:
        done: seconds and steps of the run that is resumed.
        device: where it computes.
    """

    out: Path
    minutes: float = 0.0
    steps: int = 0
    config: str = "shipped"
    photographs: Path = Path("photographs")
    resume: bool = False
    start: Path | None = None
    seed: int = 0
    peak: float = 0.0
    plain: bool = False
    done: tuple[float, int] = (0.0, 0)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _start: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, settings: dict[str, Any]) -> "Run":
        """Pick the device and start the clock; `settings` are fields of this class."""
        run = cls(**settings)
        if torch.cuda.is_available():
            run.device = torch.device("cuda")
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.allow_tf32 = True
        run.out.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
        torch.manual_seed(run.seed * 1000)
        return run

    @property
    def smoke(self) -> bool:
        """Whether this is a rehearsal of seconds."""
        return self.config == "smoke"

    @property
    def seconds(self) -> float:
        """Seconds used so far, earlier runs included."""
        return self.done[0] + time.monotonic() - self._start

    def progress(self, step: int) -> float:
        """How much of the run is over after so many steps: of the steps where a number was given, else of the time."""
        if self.steps:
            return step / self.steps
        return self.seconds / (60 * self.minutes)

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
        """Take up the state of the run that is resumed."""
        if run.resume:
            state = torch.load(run.out / f"{self.name}_state.pt", map_location=run.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.load_state_dict(state["average"])
            run.done = tuple(state["done"])

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
                if int(progress * 4) > saved:
                    saved = int(progress * 4)
                    self.save(run, number)
        log.info("%s trained for %d steps", self.name, number)
        self.save(run, number)


def _report(run: Run, name: str, seen: list[Readings], more: dict[str, float]) -> None:
    """Log the means of the readings since the last report, and add them to the curve."""
    means = {key: float(torch.stack([one[key].float() for one in seen]).nanmean()) for key in seen[0]}
    line = {"seconds": run.seconds, **more, **means}
    log.info("%s %s", name, ", ".join(f"{key} {value:.4g}" for key, value in line.items()))
    with (run.out / f"{name}_curve.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def save_half(state: dict[str, Tensor], path: Path, steps: int) -> None:
    """Write weights of so many steps as float16 safetensors, all at once or not at all."""
    half = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()}
    with atomic_write(path) as part:
        save_file(half, part, metadata={"format": "pt", "steps": str(steps)})
