"""What a run ran on: versions, device, and the most memory it took."""

import ctypes
import os
import platform
import re
import resource
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from flowedit.errors import SettingError

PACKAGES = ("flowedit", "torch", "diffsynth", "fa3-fwd", "numpy", "av", "opencv-python-headless", "scikit-image")


def versions() -> dict[str, str]:
    """Version of Python and of each package that shapes a result; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine() -> dict[str, Any]:
    """Operating system, processor cores, GPU, and the CUDA version of torch's build; None where torch is not used."""
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
    return {"system": platform.platform(), "cores": os.cpu_count(), "gpu": gpu, "cuda": torch and torch.version.cuda}


def processor() -> str:
    """Name of the processor, and how many of its cores this process may use."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{named[1] if named else platform.machine()}, {cores} cores"


def launched() -> bool:
    """Whether this process is one of several that `torchrun` started."""
    processes = os.environ.get("WORLD_SIZE") or "1"
    if not processes.isdecimal():
        raise SettingError(f"WORLD_SIZE is {processes!r}; torchrun sets it to a number of processes: unset it.")
    return int(processes) > 1


def leads() -> bool:
    """Whether this process is the one that speaks: the only one, or the first that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def peak_memory_mb() -> float:
    """Most resident memory of this process so far, in MB (10**6 bytes).

    Linux's `VmHWM` begins anew with each program; `ru_maxrss` would count what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def return_memory() -> None:
    """Give the system back what was freed, of which the C library keeps pieces where it is glibc."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
