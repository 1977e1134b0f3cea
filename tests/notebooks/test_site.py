"""The pages' parts: formulas, links, forms and printed lines."""

import nbformat
import pytest

from notebooks.publish import site


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


def test_lines_that_a_kernel_sent_in_pieces_stand_in_one_block():
    """Catches a loop's printed lines torn into one block each, and markup that a lesson printed read as such."""
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=f"step <{i}>\n") for i in range(3)]
    shown = nbformat.v4.new_output("display_data", data={"text/plain": "figure"})
    made = page_of(nbformat.v4.new_code_cell("run()", outputs=[*pieces, shown]))
    assert made.count('<pre class="out">') == 2
    assert '<pre class="out">step &lt;0&gt;\nstep &lt;1&gt;\nstep &lt;2&gt;\n</pre>' in made
