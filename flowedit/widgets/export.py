"""Self-contained pages of widgets: they open from disk, make no request, show pictures and tables without a script.

`page` makes one of live widgets. A publisher of whole notebooks uses the parts: `saved` reads the widgets out of an
executed notebook's metadata, `place` goes where each one stood, `style_of` into the head and `script_of` at the end.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowedit.widgets._assets import host, page_style
from flowedit.widgets._base import FlowWidget

Link = tuple[tuple[FlowWidget, str], tuple[FlowWidget, str]]

POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' blob:"
"""Content security policy of an exported page: the browser itself refuses every request."""

_STATE = "application/vnd.jupyter.widget-state+json"
_OWN = "flowedit.widgets."
_HOST_KEYS = ("_esm", "_css", "_anywidget_id", "_dom_classes", "layout", "tabbable", "tooltip")


@dataclass(frozen=True, kw_only=True)
class Widget:
    """A widget as a page needs it: which script and style, and its traits as JSON values."""

    name: str
    script: str
    style: str
    state: dict


def page(widgets: Sequence[FlowWidget], title: str, *, links: Sequence[Link] = (), lead: str = "") -> str:
    """The HTML of a page with `widgets` one below the other.

    Args:
        widgets: what to show, in order.
        title: the page's title and heading.
        links: pairs of (widget, trait) kept equal in the page, such as `((inspector, "index"), (scrubber, "index"))`.
        lead: one paragraph of plain text under the heading.

    Returns:
        A complete HTML document.
    """
    position = {id(widget): i for i, widget in enumerate(widgets)}
    packed = [pack(widget) for widget in widgets]
    pairs = [(position[id(a)], name_a, position[id(b)], name_b) for (a, name_a), (b, name_b) in links]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>{style_of(packed)}</head><body><main>",
            f"<h1>{html.escape(title)}</h1>" + (f"<p>{html.escape(lead)}</p>" if lead else ""),
            *(place(i, widget.fallback()) for i, widget in enumerate(widgets)),
            f"</main>{script_of(packed, pairs)}</body></html>",
        ]
    )


def pack(widget: FlowWidget) -> Widget:
    """A live widget as a page needs it."""
    return Widget(name=type(widget).__name__, script=widget._esm, style=widget._css, state=widget.saved_state())


def saved(metadata: Mapping) -> tuple[dict[str, Widget], list[tuple[str, str, str, str]]]:
    """The package's widgets in an executed notebook, and what links them in the browser.

    Args:
        metadata: the notebook's `metadata`, with the widget state that nbclient or JupyterLab saved under "widgets".

    Returns:
        Widgets by model id (an output names its own under "application/vnd.jupyter.widget-view+json"), and for each
        `jslink` or `jsdlink` between two of them `(id, trait, id, trait)`.
    """
    models = metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
    states = {key: model["state"] for key, model in models.items()}
    found = {key: _unpack(state) for key, state in states.items() if _is_own(state)}
    ends = [(state.get("source"), state.get("target")) for state in states.values()]
    links = [
        (_model_id(a[0]), a[1], _model_id(b[0]), b[1])
        for a, b in ends
        if a and b and {_model_id(a[0]), _model_id(b[0])} <= set(found)
    ]
    return found, links


def place(position: int, fallback: str = "") -> str:
    """Where the widget at `position` is drawn; `fallback` shows until then, and for good without a script."""
    return f'<section id="fe-widget-{position}">{fallback}</section>'


def style_of(widgets: Sequence[Widget]) -> str:
    """The style element for a page with these widgets."""
    styles = "\n".join([page_style(), *dict.fromkeys(widget.style for widget in widgets)])
    return f"<style>{styles}</style>"


def script_of(widgets: Sequence[Widget], links: Sequence[tuple[int, str, int, str]] = ()) -> str:
    """The script elements for a page with these widgets, in the order of their places; each kind's script once."""
    modules = {widget.name: widget.script for widget in widgets}
    models = {
        "models": [{"module": w.name, "state": w.state} for w in widgets],
        "links": [list(link) for link in links],
    }
    return (
        f'<script type="application/json" id="fe-modules">{_json(modules)}</script>'
        f'<script type="application/json" id="fe-models">{_json(models)}</script>'
        f'<script type="module">{host()}</script>'
    )


def _is_own(state: Mapping) -> bool:
    return str(state.get("_anywidget_id", "")).startswith(_OWN)


def _unpack(state: Mapping) -> Widget:
    name = state["_anywidget_id"].rpartition(".")[2]
    own = {k: v for k, v in state.items() if k not in _HOST_KEYS and not k.startswith(("_model", "_view"))}
    return Widget(name=name, script=state["_esm"], style=state["_css"], state=own)


def _model_id(reference: str) -> str:
    return str(reference).removeprefix("IPY_MODEL_")


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False).replace("</", "<\\/").replace("<!--", "<\\u0021--")
