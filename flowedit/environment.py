"""What a run ran on: versions, device, and the most memory it took."""

import os
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("flowedit", "torch", "diffsynth", "numpy", "av", "opencv-python-headless", "scikit-image")


def versions() -> dict[str, str]:
    """Version of Python and of each package that shapes a result; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Operating system, processor cores and GPU."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"system": platform.platform(), "cores": os.cpu_count(), "gpu": gpu}


def peak_memory_mb() -> float:
    """Most resident memory of this process so far, in MB (10**6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
