"""A batch in a notebook, in the look of a run: what is at work, what ended, and the records as its result."""

import re

import pytest

from tests.unit.batch_clips import make_clips

pytest.importorskip("ray")
CELL = """
from flowedit.batch import batch_news
from flowedit.widgets import RunPanel

panel = RunPanel(lambda: batch_news({manifest!r}, {out!r}, common={{"preset": "draft"}}), total=3)
panel
"""


@pytest.mark.slow
def test_a_batch_runs_in_a_run_panel(open_notebook, tmp_path):
    """Catches: a batch that blocks the kernel, a clip that counts twice, and a panel that hears no end."""
    manifest = make_clips(tmp_path, 3)
    book = open_notebook(CELL.format(manifest=str(manifest), out=str(tmp_path / "out")))
    root = book.root("run-panel")
    root.get_by_role("button", name="Start").click()
    book.page.wait_for_selector(".fe-run-panel[data-job=running]")
    assert book.kernel("print(6 * 7)") == "42"
    book.page.wait_for_function("document.querySelector('.fe-run-panel progress').value > 0", timeout=400_000)
    book.page.wait_for_selector(".fe-run-panel[data-job=done]", timeout=400_000)
    root.get_by_text("Log").click()
    assert sorted(re.findall(r"c\d: done in", root.inner_text())) == [f"c{i}: done in" for i in range(3)]
    assert book.kernel("print([record.state for record in panel.result])") == "['done', 'done', 'done']"
    assert all((tmp_path / "out" / f"c{i}" / "report.html").is_file() for i in range(3))
    book.check_quiet()
