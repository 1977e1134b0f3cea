"""What the lessons call: set up a notebook, check an answer, show a figure with its words.

Importing this package loads nothing heavy; a name is imported when it is first used.
"""

from importlib import import_module

_NAMES = {
    "CATALOG": "catalog",
    "COLOURS": "look",
    "check": "checks",
    "check_model": "contract",
    "clip": "material",
    "contact": "look",
    "figure": "look",
    "live": "record",
    "load_real": "realmodels",
    "looks": "material",
    "outlook": "realmodels",
    "predict_seconds": "preflight",
    "recorded": "record",
    "report": "checks",
    "setup": "card",
    "show": "look",
    "small_model": "material",
    "table": "quality",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> object:
    """Import a name on first use."""
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, so that completion finds them before they are imported."""
    return list(__all__)
