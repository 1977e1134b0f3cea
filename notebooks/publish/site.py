"""The lessons as plain pages: widgets alive without a kernel, formulas and pictures inside, and no request made."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import mistune
import nbformat
from latex2mathml.converter import convert
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from flowedit.lessons.catalog import BRANCH, CATALOG, REPOSITORY, Lesson
from flowedit.widgets import export
from notebooks.publish import build
from notebooks.publish.run import execute

_VIEW = "application/vnd.jupyter.widget-view+json"
_SHOWN = ("HTMLModel", "HTMLMathModel", "LabelModel", "ImageModel", "OutputModel", "")
"""Plain widgets that ask nothing of a kernel."""
_HINT = '<p class="kernel">To choose files and start runs, open the lesson on Colab or Binder: that needs a kernel.</p>'
_STATE = "application/vnd.jupyter.widget-state+json"
_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?(?:\n[^$\n]+?)??)\$", re.DOTALL)
_BADGE = re.compile(r"\[!\[([^\]]+)\]\([^)]+\)\]")
_LINK = re.compile(r"\]\((?!https?:)(?:([\w]+)\.(ipynb|md)|(solutions/[\w]+\.ipynb))\)")


@dataclass
class Page:
    """One lesson while it is written.

    Attributes:
        lesson: the lesson.
        found: the package's widgets in the executed notebook, by model id.
        models: all widget states, by model id.
        order: model ids in the order of their places on the page.
    """

    lesson: Lesson
    found: Mapping[str, export.Packed]
    models: Mapping[str, Any]
    order: list[str]


def write_site(folder: Path, target: Path) -> Iterator[Path]:
    """Run every lesson as a student finds it and write it as a page.

    Args:
        folder: the notebooks' folder.
        target: the site's folder, made if need be.

    Yields:
        Each page written; the index last.
    """
    for lesson in _present(folder):
        notebook = nbformat.read(build.student_path(folder, lesson), as_version=4)
        execute(notebook, folder)
        yield write_lesson(notebook, folder, lesson, target)
    yield from write_frame(folder, target)


def write_lesson(notebook: NotebookNode, folder: Path, lesson: Lesson, target: Path) -> Path:
    """Write one executed lesson as a page of the site.

    Args:
        notebook: the student's, with outputs and widget state.
        folder: the notebooks' folder.
        lesson: which lesson it is.
        target: the site's folder, made if need be.
    """
    target.mkdir(parents=True, exist_ok=True)
    page = target / f"{lesson.stem}.html"
    page.write_text(lesson_page(notebook, build.read_source(folder, lesson), lesson), encoding="utf-8")
    return page


def write_frame(folder: Path, target: Path) -> Iterator[Path]:
    """Write what holds the lessons' pages together: the table of notation, and the index with their stored pictures."""
    target.mkdir(parents=True, exist_ok=True)
    notation = target / "notation.html"
    text = (folder / "notation.md").read_text(encoding="utf-8")
    notation.write_text(_document("Table of notation", markdown(text)), encoding="utf-8")
    yield notation
    shown = _present(folder)
    stored = {lesson.number: nbformat.read(build.student_path(folder, lesson), as_version=4) for lesson in shown}
    pictures = {number: _first_picture(notebook) for number, notebook in stored.items()}
    index = target / "index.html"
    index.write_text(_index(shown, pictures, build.read_measured(folder)), encoding="utf-8")
    yield index


def _present(folder: Path) -> list[Lesson]:
    return [lesson for lesson in CATALOG if build.student_path(folder, lesson).is_file()]


def lesson_page(notebook: NotebookNode, source: NotebookNode, lesson: Lesson) -> str:
    """An executed student notebook as a page of its own.

    Args:
        notebook: with outputs and widget state.
        source: the lesson's source, whose solutions are folded in.
        lesson: which lesson it is.
    """
    found = export.saved(notebook.metadata)
    models = notebook.metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
    page = Page(lesson, found, models, [])
    solutions = iter(cell.source for cell in source.cells if build.part(cell) == "solution")
    body = "\n".join(_cell(cell, page, solutions) for cell in notebook.cells)
    widgets = [found[key] for key in page.order]
    head = export.style_of(widgets)
    return _document(f"{lesson.number} · {lesson.title}", body, head, export.script_of(widgets))


def markdown(text: str) -> str:
    """Markdown with formulas as HTML: formulas become MathML, which browsers draw without a script."""
    formulas: list[str] = []

    def keep(match: re.Match[str]) -> str:
        display = "block" if match[1] else "inline"
        formulas.append(convert((match[1] or match[2]).strip(), display=display))
        return f"\x02{len(formulas) - 1}\x03"

    text = _LINK.sub(_page_link, _BADGE.sub(r"[\1]", text))
    rendered = str(mistune.create_markdown(escape=False, plugins=["table"])(_MATH.sub(keep, text)))
    return re.sub(r"\x02(\d+)\x03", lambda match: formulas[int(match[1])], rendered)


def _page_link(match: re.Match[str]) -> str:
    if match[3]:
        return f"](https://github.com/{REPOSITORY}/blob/{BRANCH}/notebooks/{match[3]})"
    return f"]({match[1]}.html)"


def _cell(cell: NotebookNode, page: Page, solutions: Iterator[str]) -> str:
    part = build.part(cell)
    if part == "solution":
        return f"<details><summary>A solution</summary>{_code(next(solutions))}</details>"
    if cell.cell_type == "markdown":
        return f'<div class="part part-{part}">{markdown(cell.source)}</div>'
    code = _code(cell.source)
    if part == "setup":
        code = f"<details><summary>Setup</summary>{code}</details>"
    return code + "".join(_output(output, page) for output in _joined(cell.outputs))


def _joined(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    """A cell's outputs, with neighbours that were printed joined: a kernel sends them in pieces."""
    for printed, group in groupby(outputs, lambda output: output.get("name") == "stdout"):
        pieces = list(group)
        if printed:
            yield NotebookNode(pieces[0], text="".join(piece.text for piece in pieces))
        else:
            yield from pieces


def _code(source: str) -> str:
    return highlight(source.removeprefix("# NBVAL_CHECK_OUTPUT\n"), PythonLexer(), HtmlFormatter(cssclass="code"))


def _output(output: NotebookNode, page: Page) -> str:
    if output.output_type == "stream":
        return f'<pre class="out">{html.escape(output.text)}</pre>' if output.name == "stdout" else ""
    if output.output_type == "error":
        return f'<pre class="out">{html.escape(output.ename)}: {html.escape(output.evalue)}</pre>'
    data = output.data
    if _VIEW in data:
        key = data[_VIEW]["model_id"]
        return _view(key, page, data.get("text/html", "")) + (_HINT if _drives_kernel(key, page) else "")
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return _picture(output, kind, 'class="figure"')
    if "text/html" in data:
        return f'<div class="out">{data["text/html"]}</div>'
    return f'<pre class="out">{html.escape(data.get("text/plain", ""))}</pre>'


def _view(key: str, page: Page, fallback: str) -> str:
    """A widget's place; a box gives the places of what it holds."""
    if key in page.found and key not in page.order:
        page.order.append(key)
        return export.place(len(page.order) - 1, fallback)
    return "".join(_view(child, page, "") for child in _children(key, page))


def _children(key: str, page: Page) -> list[str]:
    state = page.models.get(key, {}).get("state", {})
    return [str(child).removeprefix("IPY_MODEL_") for child in state.get("children", [])]


def _drives_kernel(key: str, page: Page) -> bool:
    """Whether a widget is or holds a control that does nothing without a kernel, such as a file to choose."""
    if key in page.found:
        return False
    name = page.models.get(key, {}).get("model_name", "")
    children = _children(key, page)
    return any(_drives_kernel(child, page) for child in children) or (not children and name not in _SHOWN)


def _first_picture(notebook: NotebookNode) -> str:
    """The first figure as an image element with its words, or nothing."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    return _picture(output, kind, 'loading="lazy"')
    return ""


def _picture(output: NotebookNode, kind: str, attributes: str) -> str:
    """An output's picture as an image element, with the words that the lesson gave it."""
    alt = html.escape(output.metadata.get(kind, {}).get("alt", ""), quote=True)
    return f'<img {attributes} alt="{alt}" src="data:{kind};base64,{output.data[kind].strip()}">'


def _index(lessons: list[Lesson], pictures: Mapping[str, str], measured: Mapping[str, Any]) -> str:
    cards = []
    for lesson in lessons:
        took = measured.get(lesson.number)
        facts = f"{build.took(took)}, {took['peak_megabytes']:.0f} MB" if took else ""
        cards.append(
            f'<article class="card">{pictures.get(lesson.number, "")}<a href="{lesson.stem}.html">'
            f"{lesson.number} · {html.escape(lesson.title)}</a><small>{facts}</small></article>"
        )
    lead = (
        "<h1>flowedit: the lessons</h1><p>Keyframe-guided video editing by flow matching, to read without a kernel: "
        "every widget on these pages works in your browser. To change the code, open a lesson on Colab or Binder. "
        'All symbols are in the <a href="notation.html">table of notation</a>.</p>'
    )
    return _document("flowedit: the lessons", f'{lead}<div class="cards">{"".join(cards)}</div>', home=False)


def _document(title: str, body: str, head: str = "", tail: str = "", *, home: bool = True) -> str:
    style = (files("notebooks.publish") / "site.css").read_text(encoding="utf-8")
    light = HtmlFormatter(style="default", cssclass="code").get_style_defs()
    dark = HtmlFormatter(style="github-dark", cssclass="code").get_style_defs()
    back = '<nav><a href="index.html">All lessons</a></nav>' if home else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{export.POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>{head}<style>{light}\n@media (prefers-color-scheme: dark) {{{dark}}}\n"
        f"{style}</style></head><body><main>{back}{body}</main>{tail}</body></html>"
    )
