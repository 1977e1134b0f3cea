"""How results show themselves: in a notebook as a picture with words and a table, on their own as a page.

Nothing here asks for anything from outside: pictures travel inside the HTML, and a page's own policy forbids requests.
"""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowedit.show.page import page, write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_QUALITY = 88


class Displayed:
    """Gives a class its displays, out of four things that the class says about itself.

    Those are `plot()`, a matplotlib figure; `_words()`, what it is, in one line; `_alternative()`, what the figure
    shows, for who does not see it; and `_facts()`, HTML of its table or nothing.
    """

    def plot(self) -> "Figure":
        """A matplotlib figure of it."""
        raise NotImplementedError

    def to_html(self, path: str | Path | None = None) -> str:
        """A self-contained page that makes no request and opens from disk; also written to `path`."""
        return write_page(page(self._words(), self._body()), path)

    def _words(self) -> str:
        return type(self).__name__

    def _alternative(self) -> str:
        return self._words()

    def _facts(self) -> str:
        return ""

    def _body(self) -> str:
        return f"<figure>{figure_tag(self.plot(), self._alternative())}</figure>{self._facts()}"

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(self._words())}</b></p>{self._body()}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the HTML, and one line where there is only text."""
        del include, exclude
        return {"text/plain": self._words(), "text/html": self._repr_html_()}


def figure_tag(figure: "Figure", alternative: str, kind: str = "webp") -> str:
    """A matplotlib figure as an `<img>` with its text alternative; of kind `svg`, lines stay sharp."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"quality": _QUALITY}} if kind == "webp" else {}
    figure.savefig(buffer, format=kind, **options)
    return image_tag(buffer.getvalue(), alternative, kind)


def picture_tag(picture: np.ndarray, alternative: str, *, max_side: int = 480) -> str:
    """Pixels, uint8 (H, W, 3), as an `<img>` with its text alternative, scaled down to at most `max_side`."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((max_side, max_side))
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=_QUALITY)
    return image_tag(buffer.getvalue(), alternative)


def image_tag(data: bytes, alternative: str, kind: str = "webp") -> str:
    """A picture file as an `<img>` with its text alternative; `kind` is its format."""
    kind = {"svg": "svg+xml"}.get(kind, kind)
    code = base64.b64encode(data).decode("ascii")
    return f'<img alt="{html.escape(alternative)}" src="data:image/{kind};base64,{code}" style="max-width:100%">'


def video_tag(mp4: bytes, alternative: str) -> str:
    """An MP4 file as a `<video>` with controls."""
    data = base64.b64encode(mp4).decode("ascii")
    name = html.escape(alternative)
    return f'<video controls loop muted playsinline aria-label="{name}" src="data:video/mp4;base64,{data}"></video>'


def table_tag(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A data table; each row's first cell is its heading."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    texts = ([html.escape(text_of(cell)) for cell in row] for row in rows)
    body = "".join(f'<tr><th scope="row">{first}</th><td>{"</td><td>".join(rest)}</td></tr>' for first, *rest in texts)
    table = f"<caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div style="overflow-x:auto"><table>{table}</table></div>'


def facts_tag(caption: str, facts: Mapping[str, object]) -> str:
    """Names and values as a table of two columns."""
    rows = [(name, "(empty)" if value == "" else value) for name, value in facts.items()]
    return table_tag(caption, ("what", "value"), rows)


def text_of(value: object) -> str:
    """A value in words: four significant digits, a dash for what is missing or not finite.

    >>> text_of(0.123456), text_of(True), text_of((0, 16)), text_of(())
    ('0.1235', 'yes', '0, 16', 'none')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(text_of(one) for one in value) or "none"
    return str(value)


def spread(count: int, wanted: Sequence[int], most: int = 6) -> list[int]:
    """Up to `most` frame indices for a static picture: `wanted` ones first, then evenly spread, in order.

    >>> spread(33, [0, 16, 32])
    [0, 6, 13, 16, 26, 32]
    """
    chosen = list(dict.fromkeys(i for i in wanted if 0 <= i < count))[:most]
    even = [round(i) for i in np.linspace(0, count - 1, min(most, count))]
    for index in sorted(even, key=lambda i: -min((abs(i - c) for c in chosen), default=count)):
        if len(chosen) < most and index not in chosen:
            chosen.append(index)
    return sorted(chosen)
