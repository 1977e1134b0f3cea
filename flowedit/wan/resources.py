"""What this machine has: GPU, host memory, disk, processor."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Memory and processors of this machine, in bytes.

    Attributes:
        device: `cuda` or `cpu`.
        gpu_name: name of the GPU; empty without one.
        gpu_total, gpu_free: its memory; 0 without one.
        capability: its compute capability; (0, 0) without one.
        host_total, host_free: main memory; free is what can be had without swapping, inside a container's limit.
        disk_free: room where checkpoints are kept.
        cpu: name of the processor.
        cores: number of them that this process may use.
    """

    device: str
    gpu_name: str = ""
    gpu_total: int = 0
    gpu_free: int = 0
    capability: tuple[int, int] = (0, 0)
    host_total: int
    host_free: int
    disk_free: int
    cpu: str
    cores: int


def measure_resources(folder: Path | None = None) -> Resources:
    """Look at this machine.

    Args:
        folder: where checkpoints are kept; its disk is looked at. None means the default folder.
    """
    import torch

    from flowedit.wan.files import models_folder

    host = psutil.virtual_memory()
    limit = _container_limit()
    common = {
        "host_total": min(host.total, limit),
        "host_free": min(host.available, limit - _container_use()),
        "disk_free": shutil.disk_usage(existing_parent(folder or models_folder())).free,
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    }
    if not torch.cuda.is_available():
        return Resources(device="cpu", **common)
    free, total = torch.cuda.mem_get_info()
    return Resources(
        device="cuda",
        gpu_name=torch.cuda.get_device_name(),
        gpu_total=total,
        gpu_free=free,
        capability=torch.cuda.get_device_capability(),
        **common,
    )


def existing_parent(folder: Path) -> Path:
    """Find the nearest folder that exists, to ask its disk about."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


_NO_LIMIT = 1 << 62


def _container_limit() -> int:
    """Memory limit of the control group, which the host's own figures do not show."""
    return _read_bytes("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes") or _NO_LIMIT


def _container_use() -> int:
    """Memory that the control group uses and cannot give back at once."""
    if _container_limit() == _NO_LIMIT:
        return 0
    used = _read_bytes("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes") or 0
    return max(0, used - _file_cache())


def _file_cache() -> int:
    for path in ("/sys/fs/cgroup/memory.stat", "/sys/fs/cgroup/memory/memory.stat"):
        if Path(path).exists():
            pairs = dict(line.split() for line in Path(path).read_text().splitlines() if len(line.split()) == 2)
            return int(pairs.get("inactive_file", pairs.get("total_inactive_file", 0)))
    return 0


def _read_bytes(*paths: str) -> int | None:
    for path in paths:
        if Path(path).exists():
            text = Path(path).read_text().strip()
            return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None
    return None
