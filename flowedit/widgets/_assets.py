"""Reads the scripts and styles of `static/`: what several widgets share is joined in front of a widget's own file.

There is no build step: the parts are plain text and share one module scope, and none imports anything.
"""

from functools import cache
from importlib.resources import files


@cache
def _text(name: str) -> str:
    return (files("flowedit.widgets") / "static" / name).read_text(encoding="utf-8")


def script(*parts: str) -> str:
    """The module text of a widget: `base.js`, then each part in order; the last one holds the `export default`.

    >>> script("player", "frame_scrubber").rstrip().endswith("});")
    True
    """
    return "\n".join(_text(f"{part}.js") for part in ("base", *parts))


def style(*parts: str) -> str:
    """The style text of a widget: `base.css`, then each part's."""
    return "\n".join(_text(f"{part}.css") for part in ("base", *parts))


def host() -> str:
    """The script that stands in for the notebook in an exported page."""
    return _text("host.js")


def page_style() -> str:
    """The style of an exported page around its widgets."""
    return _text("page.css")
