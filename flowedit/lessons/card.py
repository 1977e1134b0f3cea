"""`setup`: the first call of every lesson: house style, and a card that says where the lesson runs."""

import ctypes
import html
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import psutil

from flowedit import __version__
from flowedit.lessons.catalog import Lesson, lesson
from flowedit.lessons.look import use_house_style
from flowedit.widgets._probe import nvidia_gpu

_M_MMAP_THRESHOLD = -3
"""Number of the option in glibc's malloc.h."""
_PACKAGES = ("numpy", "torch", "diffsynth", "langgraph", "anywidget")


@dataclass(frozen=True)
class SetupCard:
    """Where a lesson runs.

    Attributes:
        lesson: the lesson.
        host: "Colab", "Binder" or "this computer".
        rows: name and value of each fact, in order.
    """

    lesson: Lesson
    host: str
    rows: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        """The card as one line of text."""
        return f"Lesson {self.lesson.number} on {self.host}: " + ", ".join(f"{k} {v}" for k, v in self.rows)

    def _repr_html_(self) -> str:
        facts = " · ".join(f"{html.escape(name)} {html.escape(value)}" for name, value in self.rows)
        title = f"Lesson {self.lesson.number} is ready on {self.host}"
        return (
            '<p style="border-left:4px solid #009E73;padding:.3em .8em;margin:.3em 0">'
            f"<b>{html.escape(title)}</b><br><small>{facts}</small></p>"
        )


def setup(number: str) -> SetupCard:
    """Make the notebook ready for a lesson; calling it again changes nothing.

    Args:
        number: the lesson's number, such as "01".

    Returns:
        A card with the versions, processors and memory that the lesson finds.
    """
    entry = lesson(number)
    use_house_style()
    _return_memory_at_once()
    free = psutil.virtual_memory().available / 2**30
    rows = [("flowedit", __version__), ("Python", platform.python_version())]
    rows += [(name, found) for name in _PACKAGES if (found := _version(name))]
    rows += [("cores", str(psutil.cpu_count() or 1)), ("free memory", f"{free:.1f} GB"), ("device", device())]
    return SetupCard(entry, host(), tuple(rows))


def host() -> str:
    """Whose computer this is, as far as it can be seen."""
    if "google.colab" in sys.modules:
        return "Colab"
    return "Binder" if "jovyan" in sys.prefix or "BINDER" in sys.prefix else "this computer"


def device() -> str:
    """The device a model would run on, found without loading torch: `cuda` and which, or `cpu`."""
    try:
        gpu = nvidia_gpu()
    except (OSError, subprocess.SubprocessError):  # a driver's tool that fails is no reason not to begin a lesson
        gpu = None
    return f"cuda ({gpu.name})" if gpu and gpu.usable else "cpu"


def _return_memory_at_once() -> None:
    """Have glibc give blocks over 1 MB back to the system when they are freed, instead of keeping them for later.

    On a machine of 2 GB, such as Binder's, this counts: the peak of decoding a clip falls by about 200 MB.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
