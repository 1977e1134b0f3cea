"""Scripts, styles and self-contained pages of widgets: they open from disk, make no request, and do without a script.

There is no build step: scripts and styles are plain text in `static/`; what widgets share is joined in front of a
widget's own file, in one module scope, and nothing imports anything. In a page `place` goes where a widget stands,
`style_of` into the head and `script_of` at the end.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Content security policy of an exported page: the browser itself refuses every request."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A widget as a page needs it: which script and style, and its traits as JSON values."""

    name: str
    script: str
    style: str
    state: dict[str, Any]


def script(*parts: str) -> str:
    """The module text of a widget: `base.js`, then each part in order; the last one holds the `export default`.

    >>> script("player", "frame_scrubber").rstrip().endswith("});")
    True
    """
    return "\n".join(_text(f"{part}.js") for part in ("base", *parts))


def style(name: str) -> str:
    """The style text of a widget: `base.css`, which styles all that scripts share, then its own."""
    return _text("base.css") + _text(f"{name}.css")


def place(position: int, fallback: str = "") -> str:
    """Where the widget at `position` is drawn; `fallback` shows until then, and for good without a script."""
    return f'<section id="fe-widget-{position}">{fallback}</section>'


def style_of(widgets: Sequence[Packed]) -> str:
    """The style element for a page with these widgets."""
    styles = "\n".join(dict.fromkeys(widget.style for widget in widgets))
    return f"<style>{styles}</style>"


def script_of(widgets: Sequence[Packed]) -> str:
    """The script elements for a page with these widgets, in the order of their places; each kind's script once."""
    kept = "(globalThis.feModules ??= {{}}).{} ="
    modules = {one.name: one.script.replace("export default", kept.format(one.name)) for one in widgets}
    models = _json([{"module": widget.name, "state": widget.state} for widget in widgets])
    scripts = "".join(f'<script type="module">{text}</script>' for text in [*modules.values(), _text("host.js")])
    return f'<script type="application/json" id="fe-models">{models}</script>{scripts}'


@cache
def _text(name: str) -> str:
    return (files("flowedit.widgets") / "static" / name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False).replace("</", "<\\/").replace("<!--", "<\\u0021--")
