"""The pages' parts: formulas, links, forms and printed lines."""

import re

import nbformat
import pytest

from notebooks.publish import equations, site
from notebooks.publish.catalog import CATALOG


def page_of(*cells, state=None):
    metadata = {"widgets": {site._STATE: {"state": state or {}}}}
    notebook = nbformat.v4.new_notebook(cells=list(cells), metadata=metadata)
    return site.cells_as_html(notebook, site.Widgets(notebook.metadata))


def test_formulas_become_mathml_and_survive_markdown():
    """Catches a formula whose underscores became emphasis, and one left as source text."""
    text = site.markdown("The gap $x_{main} - x_{key}$ and\n\n$$r = \\frac{a_1}{b_2}$$\n\nin `code` and *words*.")
    assert text.count("<math") == 2
    assert "<mfrac>" in text
    assert "<em>words</em>" in text
    assert "$" not in text


def test_badges_become_plain_links_and_lessons_link_to_pages():
    """Catches pictures from the network, and links that leave the site for another lesson."""
    text = site.markdown("[![Open in Colab](https://x.test/y.svg)](https://z.test) [01](01_math_verification.ipynb)")
    assert "<img" not in text
    assert 'href="https://z.test"' in text
    assert 'href="01_math_verification.html"' in text


@pytest.mark.parametrize(("children", "hinted"), [(["title", "file"], True), (["title"], False)])
def test_a_form_says_that_it_needs_a_kernel(children, hinted):
    """Catches a page that shows part of a form and leaves its reader looking for the rest."""
    box = {"model_name": "VBoxModel", "state": {"children": [f"IPY_MODEL_{child}" for child in children]}}
    state = {"form": box, "title": {"model_name": "HTMLModel"}, "file": {"model_name": "FileUploadModel"}}
    shown = nbformat.v4.new_output("display_data", data={site._VIEW: {"model_id": "form"}})
    state = {name: {"state": {}, **model} for name, model in state.items()}
    assert (site._HINT in page_of(nbformat.v4.new_code_cell("form", outputs=[shown]), state=state)) is hinted


def test_what_a_form_hides_is_not_on_its_page():
    """Catches a panel on a page that could start nothing there and was not to be seen in the notebook either."""
    state = {
        "form": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_later"]}},
        "later": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_own"], "layout": "IPY_MODEL_style"}},
        "style": {"model_name": "LayoutModel", "state": {"display": "none"}},
        "own": {"state": {"_anywidget_id": "flowedit.widgets.run_panel.RunPanel", "_esm": "", "_css": ""}},
    }
    shown = nbformat.v4.new_output("display_data", data={site._VIEW: {"model_id": "form"}})
    cell = nbformat.v4.new_code_cell("form", outputs=[shown])
    assert "fe-widget" not in page_of(cell, state=state)
    state["style"]["state"]["display"] = None
    assert "fe-widget" in page_of(cell, state=state)


def test_lines_that_a_kernel_sent_in_pieces_stand_in_one_block():
    """Catches a loop's printed lines torn into one block each, and markup that a lesson printed read as such."""
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=f"step <{i}>\n") for i in range(3)]
    shown = nbformat.v4.new_output("display_data", data={"text/plain": "figure"})
    made = page_of(nbformat.v4.new_code_cell("run()", outputs=[*pieces, shown]))
    assert made.count('<pre class="out">') == 2
    assert '<pre class="out">step &lt;0&gt;\nstep &lt;1&gt;\nstep &lt;2&gt;\n</pre>' in made


def test_every_equation_of_the_method_has_its_line(monkeypatch, tmp_path):
    """Catches an equation without code, and code that moved away from it."""
    text = (equations.ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    found = list(equations.places())
    assert len(found) == text.count("\n$$") >= 10
    assert all(place.line for place in found)
    for broken in (re.sub("<!-- flowedit.*?-->", "", text), text.replace(": return noise", ": give noise")):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "method.md").write_text(broken, encoding="utf-8")
        (tmp_path / "flowedit").exists() or (tmp_path / "flowedit").symlink_to(equations.ROOT / "flowedit")
        monkeypatch.setattr(equations, "ROOT", tmp_path)
        with pytest.raises(ValueError, match="not in one"):
            list(equations.places())


def test_pages_link_to_what_is_there(tmp_path):
    """Catches a dead link, an anchor that no heading has, and a section that the search cannot reach."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in site.write_frame(tmp_path)}
    for lesson in CATALOG:
        notebook = nbformat.read(lesson.student, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        page = site.write_lesson(notebook, lesson, tmp_path)
        pages[page.name] = page.read_text(encoding="utf-8")
    names = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in pages.items()}
    links = [(name, link) for name, text in pages.items() for link in re.findall(r'href="([^"]+)"', text)]
    links += [("index.html", section["where"]) for section in site.sections()]
    for name, link in links:
        file, _, anchor = link.partition("#")
        if not link.startswith("https:"):
            assert (file or name) in pages, f"{name}: {link}"
            assert not anchor or anchor in names[file or name], f"{name}: {link}"
    assert len(links) > 100
