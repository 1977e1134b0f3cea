"""A self-contained page of widgets: opens from disk, makes no request, shows pictures and tables without a script."""

import html
import json
from collections.abc import Sequence

from flowedit.widgets._assets import host, page_style
from flowedit.widgets._base import FlowWidget

Link = tuple[tuple[FlowWidget, str], tuple[FlowWidget, str]]

# The browser itself refuses every request from the page.
_POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' blob:"


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
    models = [{"module": type(widget).__name__, "state": widget.saved_state()} for widget in widgets]
    modules = {type(widget).__name__: widget._esm for widget in widgets}
    styles = "\n".join([page_style(), *{widget._css: None for widget in widgets}])
    pairs = [[position[id(a)], name_a, position[id(b)], name_b] for (a, name_a), (b, name_b) in links]
    sections = "\n".join(
        f'<section id="fe-widget-{i}">{widget.fallback()}</section>' for i, widget in enumerate(widgets)
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title><style>{styles}</style></head><body><main>",
            f"<h1>{html.escape(title)}</h1>" + (f"<p>{html.escape(lead)}</p>" if lead else ""),
            sections,
            f'</main><script type="application/json" id="fe-modules">{_json(modules)}</script>',
            f'<script type="application/json" id="fe-models">{_json({"models": models, "links": pairs})}</script>',
            f'<script type="module">{host()}</script></body></html>',
        ]
    )


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False).replace("</", "<\\/").replace("<!--", "<\\u0021--")
