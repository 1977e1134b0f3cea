"""What every widget has in common: its script and style, the picture shown without a script, the exported page.

How to add a widget, say `Meter`:

1. `meter.py`: a subclass of `FlowWidget` whose class body sets `_esm = script(...)`, `_css = style(...)`, the synced
   traits (JSON values only: lists, dicts, strings, numbers; pass data through `plain` so that NaN becomes None and
   frames through `encode_clip`), and the three methods `_picture`, `_table` and `example`.
2. `static/meter.js`: `export default fe.widget("meter", (ctx) => { ... })`. `fe` comes from the shared parts joined in
   front by `script`: `base` (always; DOM, traits, keys, theme), `player` (sprites and transport), `chart` (SVG plots).
   `ctx.set({...})` only inside a user's gesture; everything to undo goes to `ctx.cleanup`.
3. `static/meter.css`: every class starts with `fe-`; colours only from the `--fe-*` variables of `base.css`.
4. One line in `flowedit.widgets.REGISTRY`, one in each of the two lists beside it that type checkers read, and
   `tests/browser/test_meter.py`; the checks that hold for all widgets (keys, theme, 320 px, exported page, axe, no
   request) find it through the registry and `example`.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, overload

import anywidget
import ipywidgets
import numpy as np
import traitlets

from flowedit.display import text_of

_HOST_TRAITS = frozenset(ipywidgets.DOMWidget.class_trait_names(sync=True)) | {"_esm", "_css", "_anywidget_id"}


@dataclass(frozen=True)
class Table:
    """A data table that says in text what a widget draws: a caption, column names and rows of values."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


class FlowWidget(anywidget.AnyWidget):
    """Base of every widget of the package.

    Attributes:
        heading: title drawn above the widget and its accessible name.
        note: what the data is, said on the picture itself: "recorded", "small model", "closed form", ...
    """

    _esm: ClassVar[str]
    _css: ClassVar[str]

    heading = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    @classmethod
    def example(cls) -> "FlowWidget":
        """The widget on a small computed case, for a first look, the picture gallery and the tests."""
        raise NotImplementedError(f"{cls.__name__} defines no example().")

    def _picture(self) -> str:
        """HTML of a static picture, with its text alternative."""
        return ""

    def _table(self) -> Table | None:
        """The data table shown under the picture."""
        return None

    def fallback(self) -> str:
        """Static HTML shown where no script runs or no state was saved: heading, picture and data table."""
        title = html.escape(self.heading or type(self).__name__)
        note = f" <small>{html.escape(self.note)}</small>" if self.note else ""
        table = self._table()
        body = self._picture() + (_table_html(table) if table else "")
        return (
            f'<figure class="fe-static" style="margin:0"><figcaption><b>{title}</b>{note}</figcaption>{body}</figure>'
        )

    def saved_state(self) -> dict:
        """The widget's own synced traits as JSON values: all that an exported page needs."""
        return self.get_state(key=[name for name in self.keys if name not in _HOST_TRAITS])

    def to_html(self, path: str | Path | None = None) -> str:
        """A self-contained page with this widget that makes no request and opens from disk.

        Args:
            path: also write the page to this file.

        Returns:
            The page's HTML.
        """
        from flowedit.widgets.export import page

        text = page([self], self.heading or type(self).__name__)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_mimebundle_(self, **kwargs: dict) -> tuple[dict, dict] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = self.fallback()
            bundle[0]["text/plain"] = f"{type(self).__name__}({self.heading!r})"
        return bundle


@overload
def plain(value: dict) -> dict: ...
@overload
def plain(value: object) -> object: ...
def plain(value: object) -> object:
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


def _table_html(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text_of(plain(cell)))}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    caption = html.escape(table.caption)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
