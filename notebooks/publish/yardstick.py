"""Fixed pieces of work that say how fast a machine is just now: their times make those of two machines comparable.

The same processor gives out up to half as much again from one hour to the next, and another one differs more, and not
alike in everything: one machine took four times as long as another to decode a clip, and a third longer for arithmetic.
So the processor time of a lesson is kept with the time of each kind of work that lessons consist of, done at once
before and after it. Whatever mixture of them a lesson is, it slows down by no more than the
kind that slows down most.
"""

import json
import subprocess
import sys
from collections.abc import Mapping

from notebooks.publish.guard import offline_environment

_WORK = """
import json
import time
import matplotlib.pyplot
import numpy as np
import torch
taken = {"start": time.process_time()}
frames = torch.ones(2, 32, 96, 96).contiguous(memory_format=torch.channels_last)
kernel = torch.ones(32, 32, 3, 3).contiguous(memory_format=torch.channels_last)
tokens = torch.ones(1, 4, 720, 64)
rows, weights = torch.ones(720, 384), torch.ones(384, 1536)
field = np.linspace(0.0, 1.0, 200_000)
kinds = {
    "convolution": (60, lambda: torch.nn.functional.conv2d(frames, kernel, padding=1)),
    "attention": (30, lambda: torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)),
    "products": (40, lambda: rows @ weights),
    "memory": (20, lambda: torch.ones(12_000_000)),
    "arrays": (60, lambda: np.sort(np.sin(9e4 * field))),
    "python": (600, lambda: sum(i * i for i in range(20_000))),
}
with torch.inference_mode():
    for name, (rounds, work) in kinds.items():
        for _ in range(rounds // 4):
            work()
        begun = time.process_time()
        for _ in range(rounds):
            work()
        taken[name] = time.process_time() - begun
print(json.dumps(taken))
"""
"""Starting with the libraries that lessons use, then each kind of work; a quarter of it warms up.

Memory comes in pieces above 32 MB, which the C library never keeps for the next: whether it keeps smaller ones differs
from run to run, fourfold in time.
"""


def measure() -> dict[str, float]:
    """Processor seconds of each kind of work, in a process of its own with the threads that a lesson's kernel gets."""
    command = [sys.executable, "-c", _WORK]
    done = subprocess.run(command, env=offline_environment(), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def mean(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The mean of two measurements, kind by kind."""
    return {name: (seconds + after[name]) / 2 for name, seconds in before.items()}


def pace(now: Mapping[str, float], then: Mapping[str, float]) -> float:
    """How many times longer than then a piece of work takes now at most, whatever kinds it is made of.

    Args:
        now: processor seconds of each kind, as `measure` gives them.
        then: the same of another time or machine.

    Raises:
        KeyError: the two were not measured with the same kinds of work.
    """
    return max(now[name] / then[name] for name in now.keys() | then.keys())
