"""The lessons as plain pages: widgets alive without a kernel, formulas and pictures inside, and no request made."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import mistune
import nbformat
from jinja2 import Environment, FileSystemLoader
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from flowedit.show.page import document
from flowedit.widgets import export
from notebooks.publish import build, equations
from notebooks.publish.catalog import BRANCH, CATALOG, FOLDER, REPOSITORY, Lesson

_HERE = Path(__file__).parent
_VIEW = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"
_OWN = "flowedit.widgets."
_HOST_KEYS = ("_esm", "_css", "_anywidget_id", "_dom_classes", "layout", "tabbable", "tooltip")
_PICTURES = ("image/png", "image/jpeg")
_SHOWN = ("HTMLModel", "HTMLMathModel", "LabelModel", "ImageModel", "OutputModel", "")
"""Plain widgets that ask nothing of a kernel."""
PAGES = {"index": "All lessons", "notation": "Notation", "glossary": "Glossary", "equations": "Equations"}
"""Pages beside the lessons', by name."""
_PAGES = Environment(loader=FileSystemLoader(_HERE / "template"))
_HINT = '<p class="kernel">To choose files and start runs, open the lesson on Colab or Binder: that needs a kernel.</p>'
_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?(?:\n[^$\n]+?)??)\$", re.DOTALL)
_BADGE = re.compile(r"\[!\[([^\]]+)\]\([^)]+\)\]")
_LINK = re.compile(r"\]\((?!https?:)(?:([\w]+)\.(ipynb|md)|(solutions/[\w]+\.ipynb))\)")
_UNNAMED = re.compile(r"<img (?![^>]*\balt=)")


class Widgets:
    """The widgets of one executed notebook, in the order of their places on its page."""

    def __init__(self, metadata: NotebookNode) -> None:
        """Read them out of the state that the notebook's run saved."""
        self._models = metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
        states = {key: model["state"] for key, model in self._models.items()}
        own = {key: state for key, state in states.items() if str(state.get("_anywidget_id", "")).startswith(_OWN)}
        self.found = {key: _unpacked(state) for key, state in own.items()}
        self._order: list[str] = []

    def place(self, output: NotebookNode) -> str:
        """Where an output's widget is drawn, with its still picture, and a hint where it needs a kernel."""
        key = output.data[_VIEW]["model_id"]
        return self._view(key, output.data.get("text/html", "")) + (_HINT if self.drives_kernel(key) else "")

    def drives_kernel(self, key: str) -> bool:
        """Whether a widget is or holds a control that does nothing without a kernel, such as a file to choose."""
        if key in self.found:
            return False
        children = self._children(key)
        if not children:
            return self._models.get(key, {}).get("model_name", "") not in _SHOWN
        return any(self.drives_kernel(child) for child in children)

    def head(self) -> str:
        """What the placed widgets need in a page's head."""
        return export.style_of([self.found[key] for key in self._order])

    def tail(self) -> str:
        """What they need at its end."""
        return export.script_of([self.found[key] for key in self._order])

    def _view(self, key: str, fallback: str) -> str:
        """A widget's place; a box gives the places of what it holds, and one that is hidden none."""
        if self._hidden(key):
            return ""
        if key in self.found and key not in self._order:
            self._order.append(key)
            return export.place(len(self._order) - 1, fallback)
        return "".join(self._view(child, "") for child in self._children(key))

    def _hidden(self, key: str) -> bool:
        layout = str(self._models.get(key, {}).get("state", {}).get("layout", "")).removeprefix("IPY_MODEL_")
        return self._models.get(layout, {}).get("state", {}).get("display") == "none"

    def _children(self, key: str) -> list[str]:
        children = self._models.get(key, {}).get("state", {}).get("children", [])
        return [str(child).removeprefix("IPY_MODEL_") for child in children]


def _unpacked(state: NotebookNode) -> export.Packed:
    """A saved widget without what its host adds to its state."""
    name = state["_anywidget_id"].rpartition(".")[2]
    own = {k: v for k, v in state.items() if k not in _HOST_KEYS and not k.startswith(("_model", "_view"))}
    return export.Packed(name=name, script=state["_esm"], style=state["_css"], state=own)


def write_lesson(notebook: NotebookNode, lesson: Lesson, target: Path) -> Path:
    """Write one executed lesson as a page of the site.

    Args:
        notebook: the student's, with outputs and widget state.
        lesson: which lesson it is.
        target: the site's folder, made if need be.
    """
    target.mkdir(parents=True, exist_ok=True)
    page, widgets = target / f"{lesson.stem}.html", Widgets(notebook.metadata)
    body = cells_as_html(_with_solutions(notebook, lesson), widgets)
    place = CATALOG.index(lesson)
    around = (None, *CATALOG, None)[place : place + 3 : 2]
    known = {"contents": re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', body), "beside": [*zip("←→", around, strict=True)]}
    text = _document(f"{lesson.number} · {lesson.title}", body, widgets.head(), widgets.tail(), **known)
    page.write_text(text, encoding="utf-8")
    return page


def write_frame(target: Path) -> Iterator[Path]:
    """Write what holds the lessons' pages together: notation, glossary, equations, and the index with its search."""
    target.mkdir(parents=True, exist_ok=True)
    texts = {name: (FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in ("notation", "glossary")}
    for name, text in (texts | {"equations": equations.page()}).items():
        page = target / f"{name}.html"
        page.write_text(_document(text.partition("\n")[0].lstrip("# "), markdown(text)), encoding="utf-8")
        yield page
    index, script = target / "index.html", (_HERE / "search.js").read_text(encoding="utf-8")
    known = json.dumps(sections()).replace("</", r"<\/")
    tail = f"<script>const SECTIONS = {known};\n{script}</script>"
    body = _PAGES.get_template("index.html.j2").render(cards=map(_card, CATALOG))
    index.write_text(_document("flowedit: the lessons", body, tail=tail), encoding="utf-8")
    yield index


def _card(lesson: Lesson) -> tuple[Lesson, str, int, str, int]:
    """A lesson, its first figure, its minutes, and the processor time and megabytes that it takes."""
    took = build.read_measured()[lesson.number]
    minutes = sum(build.reading_minutes(lesson))
    return lesson, _first_picture(lesson), minutes, build.took(took["seconds"]), took["peak_megabytes"]


def sections() -> list[dict[str, str]]:
    """What the search looks through: each section of each lesson, where it is, and its words."""
    found = []
    for lesson in CATALOG:
        text = "\n".join(cell.source for cell in build.read_source(lesson).cells if cell.cell_type == "markdown")
        for part in re.split(r"^#+ (?=\S)", text, flags=re.MULTILINE)[1:]:
            title, _, words = part.partition("\n")
            plain = " ".join(re.sub(r"<[^>]+>|[*`#|]|\{\{\w+\}\}", " ", words).split())
            where = f"{lesson.stem}.html#{anchor(title)}"
            found.append({"where": where, "title": f"{lesson.number} · {title}", "words": plain})
    return found


def anchor(title: str) -> str:
    """The name of a heading in addresses."""
    return "-".join(re.findall(r"[a-z0-9]+", html.unescape(re.sub(r"<[^>]+>", "", title)).lower()))


def cells_as_html(notebook: NotebookNode, widgets: Widgets) -> str:
    """The cells by nbconvert, with the lessons' own template."""
    filters = {
        "code": lambda text: highlight(text, PythonLexer(), HtmlFormatter(cssclass="code")),
        "markdown2html": markdown,
        "part": build.part,
        "picture": _picture,
        "titled": lambda text: _UNNAMED.sub('<img alt="" ', text),  # mediapy writes a picture's title above it
        "widget": widgets.place,
    }
    exporter = HTMLExporter(template_name="lesson", extra_template_basedirs=[str(_HERE / "template")], filters=filters)
    exporter.register_preprocessor(CoalesceStreamsPreprocessor(), enabled=True)  # a kernel sends lines in pieces
    body, _ = exporter.from_notebook_node(notebook)
    return body


def markdown(text: str) -> str:
    """Markdown with formulas as HTML: formulas become MathML, which browsers draw without a script."""
    formulas: list[str] = []

    def keep(match: re.Match[str]) -> str:
        display = "block" if match[1] else "inline"
        formulas.append(convert((match[1] or match[2]).strip(), display=display))
        return f"\x02{len(formulas) - 1}\x03"

    text = _LINK.sub(_page_link, _BADGE.sub(r"[\1]", text))
    rendered = str(mistune.create_markdown(escape=False, plugins=["table"])(_MATH.sub(keep, text)))
    rendered = re.sub(r"\x02(\d+)\x03", lambda match: formulas[int(match[1])], rendered)
    return re.sub(r"<(h[1-6])>(.*?)</\1>", lambda m: f'<{m[1]} id="{anchor(m[2])}">{m[2]}</{m[1]}>', rendered)


def _page_link(match: re.Match[str]) -> str:
    if match[3]:
        return f"](https://github.com/{REPOSITORY}/blob/{BRANCH}/notebooks/{match[3]})"
    return f"]({match[1]}.html)"


def _with_solutions(notebook: NotebookNode, lesson: Lesson) -> NotebookNode:
    """The notebook with its solutions in place of the links to them, and without marks for nbval."""
    solutions = iter([cell.source for cell in build.read_source(lesson).cells if build.part(cell) == "solution"])
    cells = []
    for cell in notebook.cells:
        if build.part(cell) == "solution":
            cells.append(nbformat.v4.new_code_cell(next(solutions), metadata=cell.metadata))
        else:
            cells.append(NotebookNode(cell, source=cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")))
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def _picture(output: NotebookNode, kind: str, attributes: str = 'class="figure"') -> str:
    """An output's picture as an image element, with the words that the lesson gave it."""
    alt = html.escape(output.metadata.get(kind, {}).get("alt", ""), quote=True)
    return f'<img {attributes} alt="{alt}" src="data:{kind};base64,{output.data[kind].strip()}">'


def _first_picture(lesson: Lesson) -> str:
    """The first figure that a lesson's notebook keeps, or nothing."""
    for cell in nbformat.read(lesson.student, as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind in set(_PICTURES) & set(output.get("data", {})):
                return _picture(output, kind, 'loading="lazy"')
    return ""


def _document(title: str, body: str, head: str = "", tail: str = "", **known: object) -> str:
    """A page of the site; `known` are its sections (`contents`) and the lessons `beside` it."""
    style = (_HERE / "site.css").read_text(encoding="utf-8")
    light, dark = (HtmlFormatter(style=name, cssclass="code").get_style_defs() for name in ("default", "github-dark"))
    head += f"<style>{light}\n@media (prefers-color-scheme: dark) {{{dark}}}\n{style}</style>"
    main = _PAGES.get_template("page.html.j2").render(pages=PAGES, body=body, **known)
    return document(title, main, head=head, tail=tail, policy=export.POLICY)
