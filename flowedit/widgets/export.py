"""Self-contained pages of widgets: they open from disk, make no request, show pictures and tables without a script.

These are their parts, also for a publisher of whole notebooks: `saved` reads the widgets out of an executed notebook's
metadata, `place` goes where each one stood, `style_of` into the head and `script_of` at the end.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowedit.widgets._assets import text

POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' blob:"
"""Content security policy of an exported page: the browser itself refuses every request."""

_STATE = "application/vnd.jupyter.widget-state+json"
_OWN = "flowedit.widgets."
_HOST_KEYS = ("_esm", "_css", "_anywidget_id", "_dom_classes", "layout", "tabbable", "tooltip")


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A widget as a page needs it: which script and style, and its traits as JSON values."""

    name: str
    script: str
    style: str
    state: dict[str, Any]


def saved(metadata: Mapping) -> dict[str, Packed]:
    """The package's widgets in an executed notebook.

    Args:
        metadata: the notebook's `metadata`, with the widget state that nbclient or JupyterLab saved under "widgets".

    Returns:
        Widgets by model id; an output names its own under "application/vnd.jupyter.widget-view+json".
    """
    models = metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
    states = {key: model["state"] for key, model in models.items()}
    return {key: _unpack(one) for key, one in states.items() if str(one.get("_anywidget_id", "")).startswith(_OWN)}


def place(position: int, fallback: str = "") -> str:
    """Where the widget at `position` is drawn; `fallback` shows until then, and for good without a script."""
    return f'<section id="fe-widget-{position}">{fallback}</section>'


def style_of(widgets: Sequence[Packed]) -> str:
    """The style element for a page with these widgets."""
    styles = "\n".join([text("page.css"), *dict.fromkeys(widget.style for widget in widgets)])
    return f"<style>{styles}</style>"


def script_of(widgets: Sequence[Packed]) -> str:
    """The script elements for a page with these widgets, in the order of their places; each kind's script once."""
    modules = {widget.name: widget.script for widget in widgets}
    models = [{"module": widget.name, "state": widget.state} for widget in widgets]
    return (
        f'<script type="application/json" id="fe-modules">{_json(modules)}</script>'
        f'<script type="application/json" id="fe-models">{_json(models)}</script>'
        f'<script type="module">{text("host.js")}</script>'
    )


def _unpack(state: Mapping) -> Packed:
    name = state["_anywidget_id"].rpartition(".")[2]
    own = {k: v for k, v in state.items() if k not in _HOST_KEYS and not k.startswith(("_model", "_view"))}
    return Packed(name=name, script=state["_esm"], style=state["_css"], state=own)


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False).replace("</", "<\\/").replace("<!--", "<\\u0021--")
