"""Reads the scripts and styles of `static/`: what widgets share is joined in front of a widget's own file.

There is no build step: the parts are plain text and share one module scope, and none imports anything.
"""

from functools import cache
from importlib.resources import files


@cache
def text(name: str) -> str:
    """A file of `static/`."""
    return (files("flowedit.widgets") / "static" / name).read_text(encoding="utf-8")


def script(*parts: str) -> str:
    """The module text of a widget: `base.js`, then each part in order; the last one holds the `export default`.

    >>> script("player", "frame_scrubber").rstrip().endswith("});")
    True
    """
    return "\n".join(text(f"{part}.js") for part in ("base", *parts))


def style(name: str) -> str:
    """The style text of a widget: `base.css`, which styles all that scripts share, then its own."""
    return text("base.css") + text(f"{name}.css")
