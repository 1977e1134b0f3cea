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

import psutil

NEEDED = ("numpy", "anywidget", "ipywidgets", "pillow")
"""Without these no lesson runs."""
EXTRA = ("torch", "diffsynth", "av", "langgraph", "jupyterlab")
"""What single lessons need besides."""
KEY = "GOOGLE_API_KEY"
_GIB = 2**30


class Row(NamedTuple):
    """A line of the report; `state` is "ok", "warn" (something will not work) or "info", `hint` what to do."""

    name: str
    value: str
    state: str
    hint: str = ""


def report() -> list[Row]:
    """Every probe's rows, in the order shown."""
    probes = {"Host": _host, "Device": _device, "Memory": _memory, "Gemini key": _key}
    return [_safely(name, probe) for name, probe in probes.items()] + _packages()


def _safely(name: str, probe: Callable[[], Row]) -> Row:
    try:
        return probe()
    except Exception as error:  # a card about a broken machine must not break on it
        return Row(name, f"not known ({type(error).__name__})", "info")


def host_name() -> str:
    """Whose computer this is, as far as it can be seen."""
    if "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules:
        return "Google Colab"
    return "Binder" if "BINDER_SERVICE_HOST" in os.environ else "this computer"


def _host() -> Row:
    return Row("Host", f"{host_name()}, {platform.system()} {platform.machine()}", "info")


def _packages() -> list[Row]:
    rows = [Row("Python", platform.python_version(), "ok")]
    for name in ("flowedit", *NEEDED, *EXTRA):
        missing = "warn" if name in NEEDED else "info"
        found = version_of(name)
        rows.append(Row(name, found, "ok") if found else Row(name, "not installed", missing, f"pip install {name}"))
    return rows


def version_of(name: str) -> str:
    """An installed package's version, or nothing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _device() -> Row:
    """The first NVIDIA GPU: torch's own word once it is loaded, before that the driver's and torch's build."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        size = torch.cuda.get_device_properties(0).total_memory / _GIB
        return Row("Device", f"{torch.cuda.get_device_name(0)}, {size:.1f} GiB", "ok")
    name = _driver_says()
    if not name:
        return Row("Device", "CPU only", "info", "Enough for the lessons; real Wan models need a GPU.")
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        hint = "CUDA_VISIBLE_DEVICES hides it."
    elif torch is not None:
        hint = "torch does not see it: its build or the driver does not fit."
    elif find_spec("torch") and not _built_for_cuda():
        hint = "torch is the build for CPUs; install the one for CUDA."
    else:
        return Row("Device", name, "ok")
    return Row("Device", f"{name}, not used", "info", hint)


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


def _memory() -> Row:
    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    limit = container_limit()
    if limit is not None and limit[0] < total:
        total, free = limit[0], min(free, limit[0] - limit[1])
    own = psutil.Process().memory_info().rss
    text = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free; this kernel holds {own / _GIB:.2f} GiB"
    return Row("Memory", text, "ok") if free >= _GIB else Row("Memory", text, "warn", "Close other notebooks.")


def container_limit(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, int] | None:
    """A container's (limit, used) in bytes, or None where there is no limit: Binder ends a kernel that passes it."""
    try:
        return int((root / "memory.max").read_text()), int((root / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def _key() -> Row:
    """Whether there is a key, where the agent looks for it too: Colab's secrets, then the environment."""
    hint, found = "", bool(os.environ.get(KEY, "").strip())
    if not found and "google.colab" in sys.modules:
        from google.colab import userdata  # pyright: ignore[reportMissingImports] only inside Colab

        try:
            found = bool(str(userdata.get(KEY) or "").strip())
        except Exception as error:  # Colab's own exceptions live in its module
            if type(error).__name__ == "NotebookAccessError":
                hint = "Open the secrets (the key on the left) and switch access on."
    closed = "in Colab's secrets, but not open to this notebook" if hint else "none, and none is needed"
    return Row("Gemini key", "found" if found else closed, "info", hint)
