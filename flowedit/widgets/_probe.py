"""What this machine has: each probe answers or says "not known"; none raises, loads torch or uses the network."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

NEEDED = ("numpy", "anywidget", "ipywidgets", "pillow")
"""Without these no lesson runs."""
EXTRA = ("torch", "diffsynth", "av", "langgraph", "jupyterlab")
"""What single lessons need besides."""
KEY = "GOOGLE_API_KEY"
_FOUND = "found"
_CLOSED = "in Colab's secrets, but not open to this notebook"

_LOW_MEMORY_GB = 1.0
_GIB = 2**30


class Row(NamedTuple):
    """One line of the report.

    Attributes:
        name: what was looked at.
        value: what was found.
        state: "ok", "warn" (something will not work) or "info".
        hint: what to do about it, or nothing.
    """

    name: str
    value: str
    state: str
    hint: str = ""


def report() -> list[Row]:
    """Every probe's row, in the order shown."""
    probes: tuple[tuple[str, Callable[[], list[Row]]], ...] = (
        ("Host", _host),
        ("Device", _device),
        ("Memory", _memory),
        ("Processor", _cores),
        ("Gemini key", _key),
        ("Python", _python),
        ("Packages", _packages),
    )
    return [row for name, probe in probes for row in _safely(name, probe)]


def _safely(name: str, probe: Callable[[], list[Row]]) -> list[Row]:
    try:
        return probe()
    except Exception as error:  # a card about a broken machine must not break on it
        return [Row(name, f"not known ({type(error).__name__})", "info")]


def _host() -> list[Row]:
    marks = {
        "Google Colab": "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules,
        "Binder": "BINDER_SERVICE_HOST" in os.environ or "BINDER_LAUNCH_HOST" in os.environ,
        "Kaggle": "KAGGLE_KERNEL_RUN_TYPE" in os.environ,
        "VS Code": "VSCODE_PID" in os.environ or "VSCODE_CWD" in os.environ,
    }
    name = next((name for name, found in marks.items() if found), "Jupyter" if "ipykernel" in sys.modules else "Python")
    return [Row("Host", f"{name} on {platform.system()} {platform.machine()}", "info")]


def _python() -> list[Row]:
    good = sys.version_info >= (3, 11)
    return [
        Row("Python", platform.python_version(), "ok" if good else "warn", "" if good else "Use Python 3.11 or later.")
    ]


def _packages() -> list[Row]:
    rows = [Row("flowedit", _flowedit_version(), "ok")]
    for name in (*NEEDED, *EXTRA):
        found = version_of(name)
        missing = "warn" if name in NEEDED else "info"
        hint = "" if found else f"pip install {name}"
        rows.append(Row(name, found or "not installed", "ok" if found else missing, hint))
    return rows


def version_of(name: str) -> str:
    """An installed package's version, or nothing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _flowedit_version() -> str:
    from flowedit import __version__

    return __version__


def _device() -> list[Row]:
    gpu = nvidia_gpu()
    if gpu and not gpu.usable:
        return [Row("Device", f"{gpu.name}, not used", "info", gpu.hint)]
    if gpu:
        return [Row("Device", gpu.name, "ok")]
    if find_spec("torch") and platform.system() == "Darwin" and platform.machine() == "arm64":
        return [Row("Device", "Apple GPU (MPS)", "ok")]
    return [Row("Device", "CPU only", "info", "Enough for the lessons; real Wan models need a GPU.")]


class Gpu(NamedTuple):
    """An NVIDIA GPU.

    Attributes:
        name: its name and memory.
        usable: whether torch runs on it.
        hint: why not, and what to do about it.
    """

    name: str
    usable: bool
    hint: str = ""


def nvidia_gpu() -> Gpu | None:
    """The first NVIDIA GPU: torch's own word once it is loaded, before that the driver's and torch's build."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        size = torch.cuda.get_device_properties(0).total_memory / _GIB
        return Gpu(f"{torch.cuda.get_device_name(0)}, {size:.1f} GiB", usable=True)
    name = _driver_says()
    if not name:
        return None
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return Gpu(name, usable=False, hint="CUDA_VISIBLE_DEVICES hides it.")
    if torch is not None:
        return Gpu(name, usable=False, hint="torch does not see it: its build or the driver does not fit.")
    if find_spec("torch") and not _built_for_cuda():
        return Gpu(name, usable=False, hint="torch is the build for CPUs; install the one for CUDA.")
    return Gpu(name, usable=True)


def _driver_says() -> str:
    """Name and memory of the first GPU as the driver's tool prints them, or nothing."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return ""
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False)
    return answer.stdout.strip().partition("\n")[0] if answer.returncode == 0 else ""


def _built_for_cuda() -> bool:
    """Whether the installed torch names a CUDA version in its `version.py`, read without loading torch."""
    found = find_spec("torch")
    places = (found.submodule_search_locations if found else None) or ()
    texts = [(Path(place) / "version.py").read_text(encoding="utf-8") for place in places]
    return any(re.search(r"^cuda\b[^=]*=\s*['\"]", text, flags=re.MULTILINE) for text in texts)


def _memory() -> list[Row]:
    import psutil

    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    limit = container_limit()
    if limit is not None and limit[0] < total:
        total, free = limit[0], min(free, limit[0] - limit[1])
    own = psutil.Process().memory_info().rss
    low = free / _GIB < _LOW_MEMORY_GB
    text = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free; this kernel holds {own / _GIB:.2f} GiB"
    return [Row("Memory", text, "warn" if low else "ok", "Close other notebooks." if low else "")]


def container_limit(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, int] | None:
    """A container's (limit, used) in bytes, or None where there is no limit: Binder ends a kernel that passes it."""
    names = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    for most, used in names:
        try:
            return int((root / most).read_text()), int((root / used).read_text())
        except (OSError, ValueError):
            continue
    return None


def _cores() -> list[Row]:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [Row("Processor", f"{count} cores", "info")]


def _key() -> list[Row]:
    """Whether there is a key, where the agent looks for it too: Colab's secrets, then the environment."""
    said = _colab_secret()
    if said == _CLOSED and not os.environ.get(KEY, "").strip():
        return [Row("Gemini key", said, "info", "Open the secrets (the key on the left) and switch access on.")]
    found = said == _FOUND or bool(os.environ.get(KEY, "").strip())
    return [Row("Gemini key", _FOUND if found else "none, and none is needed", "info")]


def _colab_secret() -> str:
    """What Colab's secrets say of the key; nothing outside Colab, and never the key."""
    if "google.colab" not in sys.modules:
        return ""
    from google.colab import userdata  # pyright: ignore[reportMissingImports] only inside Colab

    try:
        return _FOUND if str(userdata.get(KEY) or "").strip() else ""
    except Exception as error:  # Colab's own exceptions live in its module
        return _CLOSED if type(error).__name__ == "NotebookAccessError" else ""
