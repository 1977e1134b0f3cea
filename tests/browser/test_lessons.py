"""Lessons opened in JupyterLab as a student opens them, run from top to bottom."""

import re
from pathlib import Path

import pytest

from flowedit.lessons.catalog import CATALOG
from tests.browser.conftest import Notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
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
@pytest.mark.parametrize(
    ("stem", "widgets"),
    [("01_math_verification", ["gap-explorer"]), ("00_start_here", ["env-card", "frame-scrubber"])],
)
def test_a_lesson_runs_from_top_to_bottom_in_jupyterlab(lab, chromium, stem, widgets):
    """Catches a cell that raises, a widget that is not drawn, and a request that leaves the machine."""
    base, root = lab
    (root / f"{stem}.ipynb").write_bytes((FOLDER / f"{stem}.ipynb").read_bytes())
    notebook = Notebook(chromium.new_page(viewport={"width": 1200, "height": 900}), base)
    notebook.page.set_default_timeout(1_500_000)
    notebook.page.goto(f"{base}/lab/tree/{stem}.ipynb?reset")
    notebook.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
    done = notebook.page.evaluate(RUN_ALL)
    assert done["errors"] == 0
    assert done["outputs"] > 8
    for name in widgets:
        notebook.root(name).scroll_into_view_if_needed()
        assert notebook.root(name).is_visible()
    assert set(notebook.outside) <= BADGES
    assert [text for text in notebook.errors if "badge" not in text] == []
    notebook.shut_down_kernel()
    notebook.page.close()
