"""A lesson opened in JupyterLab as a student opens it, run from top to bottom."""

import re

import pytest

from notebooks.publish.catalog import CATALOG
from tests.browser.conftest import Notebook

BADGES = set(re.findall(r"!\[[^\]]*\]\(([^)]+)\)", CATALOG[0].badges()))
"""The pictures of the badges are the one thing that a lesson shows from elsewhere; offline their words stand there."""
RUN_ALL = """async () => {
    const panel = jupyterapp.shell.currentWidget;
    await panel.sessionContext.ready;
    await jupyterapp.commands.execute('notebook:run-all-cells');
    const cells = panel.content.model.cells;
    const outputs = [...cells].flatMap((cell) => cell.outputs ? [...Array(cell.outputs.length).keys()].map(
        (i) => cell.outputs.get(i).type) : []);
    return { errors: outputs.filter((type) => type === 'error').length, outputs: outputs.length };
}"""


@pytest.mark.slow
def test_a_lesson_runs_from_top_to_bottom_in_jupyterlab(lab, chromium):
    """Catches a cell that raises, a widget that is not drawn, and a request that leaves the machine."""
    (base, root), lesson = lab, CATALOG[1]
    (root / lesson.student.name).write_bytes(lesson.student.read_bytes())
    notebook = Notebook(chromium.new_page(viewport={"width": 1200, "height": 900}), base)
    notebook.page.set_default_timeout(600_000)
    notebook.page.goto(f"{base}/lab/tree/{lesson.student.name}?reset")
    notebook.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
    done = notebook.page.evaluate(RUN_ALL)
    assert done["errors"] == 0
    assert done["outputs"] > 8
    notebook.root("gap-explorer").scroll_into_view_if_needed()
    assert notebook.root("gap-explorer").is_visible()
    assert set(notebook.outside) <= BADGES
    assert [text for text in notebook.errors if "badge" not in text] == []
    notebook.shut_down_kernel()
    notebook.page.close()
