"""What every widget has in common: its script and style, what is shown without a script, the exported page."""

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import ipywidgets
import numpy as np
import traitlets

from flowedit.show.page import STYLE, document, write_page
from flowedit.widgets.export import POLICY, Packed, place, script_of, style_of

_HOST_TRAITS = frozenset(ipywidgets.DOMWidget.class_trait_names(sync=True)) | {"_esm", "_css", "_anywidget_id"}


class FlowWidget(anywidget.AnyWidget):
    """Base of every widget of the package.

    Attributes:
        heading: title drawn above the widget and its accessible name; it and every attribute can be given by name.
        note: what the data is, said on the picture itself: "recorded", "small model", "closed form", ...
    """

    _esm: ClassVar[str]
    _css: ClassVar[str]

    heading = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    def _still(self) -> str:
        """HTML of a static picture, with its text alternative, and of a data table that says the same."""
        raise NotImplementedError(f"{type(self).__name__} has no static picture.")

    def fallback(self) -> str:
        """Static HTML shown where no script runs or no state was saved: heading, picture and data table."""
        title = html.escape(self.heading or type(self).__name__)
        note = f" <small>{html.escape(self.note)}</small>" if self.note else ""
        caption = f"<figcaption><b>{title}</b>{note}</figcaption>"
        return f'<figure class="fe-static" style="margin:0">{caption}{self._still()}</figure>'

    def packed(self) -> Packed:
        """The widget as an exported page needs it: its script, style, and own synced traits as JSON values."""
        state = self.get_state(key=[name for name in self.keys if name not in _HOST_TRAITS])
        return Packed(name=type(self).__name__, script=self._esm, style=self._css, state=state)

    def to_html(self, path: str | Path | None = None) -> str:
        """A page with this widget that makes no request and opens from disk, also written to `path` if given."""
        return write_page(page([self], self.heading or type(self).__name__), path)

    def _repr_mimebundle_(self, **kwargs: dict) -> tuple[dict, dict] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = self.fallback()
            bundle[0]["text/plain"] = f"{type(self).__name__}({self.heading!r})"
        return bundle


class Column(ipywidgets.VBox):
    """Widgets one below the other, shown as still pictures too."""

    def fallback(self) -> str:
        """Static HTML shown where no script runs or no state was saved."""
        return "".join(child.fallback() for child in self.children if isinstance(child, FlowWidget))

    def _repr_mimebundle_(self, **kwargs: dict) -> dict:
        return {**(super()._repr_mimebundle_(**kwargs) or {}), "text/html": self.fallback()}


def page(widgets: Sequence[FlowWidget], title: str) -> str:
    """A complete HTML document under a plain title, with `widgets` one below the other."""
    packed = [widget.packed() for widget in widgets]
    places = "\n".join(place(i, widget.fallback()) for i, widget in enumerate(widgets))
    main, head = (
        f"<h1>{html.escape(title)}</h1>{places}",
        f"<style>{STYLE}body {{ background: Canvas; }}</style>{style_of(packed)}",
    )
    return document(title, main, head=head, tail=script_of(packed), policy=POLICY)


def plain(value: Any) -> Any:  # noqa: ANN401 what comes in decides what goes out
    """`value` as JSON values: arrays become lists, NumPy numbers become numbers, and what is not finite becomes None.

    JSON has no NaN, and a kernel turns it into a string on the way; the scripts write None as a dash.

    >>> plain({"a": np.float32(0.5), "b": (1, float("nan"))})
    {'a': 0.5, 'b': [1, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
