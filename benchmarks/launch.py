"""One run of a command in a process of its own: its seconds, its processor seconds and the most memory that it held."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from flowedit.errors import ModelError

_KIB = 1024
_LAUNCHER = """
import json, os, subprocess, sys, time
begun = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
cores = json.loads(sys.argv[1])
if cores and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:cores])
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - begun
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""
"""Runs a command on so many cores (null: all) and tells its status, seconds, processor seconds and peak memory. The
system counts the memory of the process that starts another one to that one's peak, so a small one must do it."""


@dataclass(frozen=True)
class Launched:
    """What a command took.

    Attributes:
        seconds: wall-clock time, starting the program included.
        processor: processor seconds of all its threads together.
        others: processor cores that other programs kept busy meanwhile.
        megabytes: most resident memory, in MB (10**6 bytes).
    """

    seconds: float
    processor: float
    others: float
    megabytes: float


def launch(command: Sequence[str], cores: int | None = None) -> Launched:
    """Run a command on the processor, no GPU in sight, its output dropped.

    Args:
        command: program and arguments.
        cores: how many cores it may use, where the system lets one choose; None for all.

    Raises:
        ModelError: it ended with another status than 0.
    """
    busy = _busy_seconds()
    launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, json.dumps(cores), *command]
    without_gpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    said = subprocess.run(launched, capture_output=True, text=True, env=without_gpu, check=True)
    status, seconds, own, peak = json.loads(said.stdout)
    if status != 0:
        last = said.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ModelError(f"{' '.join(command)} ended with status {status} ({last[0]}); run it by hand to see why.")
    peak_bytes = peak * (1 if sys.platform == "darwin" else _KIB)
    return Launched(seconds, own, max(0.0, _busy_seconds() - busy - own) / seconds, peak_bytes / 1e6)


def _busy_seconds() -> float:
    """Processor seconds that all programs have used since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))
