"""A fixed piece of work that says how fast a machine is just now: its time makes those of two machines comparable.

The same processor gives out up to half as much again from one hour to the next, and another one differs more. So the
processor time of a lesson is kept with that of this work, done at once before and after it, and is compared as a
multiple of it.
"""

import subprocess
import sys

from flowedit.lessons.guard import offline_environment

_WORK = """
import time
import numpy as np
import torch
video = torch.ones(1, 16, 5, 24, 24)
kernel = torch.ones(16, 16, 3, 3, 3)
tokens = torch.ones(1, 4, 720, 64)
field = np.linspace(0.0, 1.0, 200_000)
def work():
    for _ in range(32):
        torch.nn.functional.conv3d(video, kernel, padding=1)
        torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        np.sort(np.sin(9e4 * field))
        sum(i * i for i in range(20_000))
with torch.inference_mode():
    work()
    begun = time.process_time()
    work()
    work()
    print(time.process_time() - begun)
"""
"""What a lesson does most: convolutions, attention, arithmetic on arrays and plain Python; the first round warms up."""


def measure() -> float:
    """Processor seconds of the fixed work in a process of its own, with the threads that a lesson's kernel gets."""
    command = [sys.executable, "-c", _WORK]
    done = subprocess.run(command, env=offline_environment(), capture_output=True, text=True, check=True)
    return float(done.stdout)
