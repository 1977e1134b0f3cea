"""The cards of a lesson: where it runs, which its first call shows, and what its reader predicted before it."""

import ctypes
import html
import json
import platform
import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import psutil
from platformdirs import user_data_path

from flowedit import __version__
from flowedit.files import write_text
from flowedit.widgets._probe import host_name

_DARK = (
    '<style>[data-jp-theme-light="false"] img.jp-needs-light-background '
    "{ filter: invert(0.93) hue-rotate(180deg); }</style>"
)
"""By which JupyterLab's dark theme gets the lessons' line drawings on its own ground; photographs stay as they are."""
_M_MMAP_THRESHOLD = -3  # the option in glibc's malloc.h
_PREDICTIONS = user_data_path("flowedit") / "predictions.json"
_GREY = "#8A8A8A"


@dataclass(frozen=True)
class Card:
    """A short message, and what else there is to say, with a bar of colour at its left."""

    title: str
    words: str
    colour: str = "#009E73"

    def __repr__(self) -> str:
        return f"{self.title}: {self.words}"

    def _repr_html_(self) -> str:
        style = f"border-left:4px solid {self.colour};padding:.3em .8em;margin:.3em 0"
        return f'{_DARK}<p style="{style}"><b>{html.escape(self.title)}</b><br>{html.escape(self.words)}</p>'


def setup(number: str) -> Card:
    """Make the notebook ready for lesson `number`, such as "01", and give a card with what it finds; once is enough."""
    plt.style.use("flowedit.lessons.house")
    _return_memory_at_once()
    free = psutil.virtual_memory().available / 2**30
    versions = f"flowedit {__version__}", f"Python {platform.python_version()}"
    facts = *versions, f"{psutil.cpu_count() or 1} cores", f"{free:.1f} GB of memory free"
    return Card(f"Lesson {number} is ready on {host_name()}", " · ".join(facts))


def _return_memory_at_once() -> None:
    """Have glibc give blocks over 1 MB back when they are freed: lessons peak 110 to 140 MB lower, of Binder's 2 GB."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def predict(number: str, *answers: str) -> Card:
    """Keep the answers to a lesson's first questions; nothing is kept while all are empty."""
    if not any(answers):
        todo = "Type an answer between each pair of quotes, then run this cell again."
        return Card("… Your predictions", todo, _GREY)
    _PREDICTIONS.parent.mkdir(parents=True, exist_ok=True)
    write_text(_PREDICTIONS, json.dumps({**_kept(), number: answers}))
    return Card("✓ Kept", "They come back at the end of the lesson.")


def recall(number: str) -> Card:
    """The reader's own predictions for a lesson, to read beside its answers."""
    answers = _kept().get(number)
    if not answers:
        return Card("… Your predictions", "You typed none at the beginning of this lesson.", _GREY)
    said = "  ".join(f"({i}) {answer or 'nothing'}" for i, answer in enumerate(answers, 1))
    return Card("You predicted", said, "#0072B2")


def _kept() -> dict[str, list[str]]:
    return json.loads(_PREDICTIONS.read_text(encoding="utf-8")) if _PREDICTIONS.is_file() else {}
