"""RunPanel in a notebook: it does not block, its cancel stops the run, and it survives the loss of its kernel."""

import re

import numpy as np
import pytest

from .conftest import pixels, shows
from .examples import EXAMPLES

CELL = """
import time
import numpy as np
from flowedit.widgets.run_panel import RunPanel

events = []

def work():
    try:
        for i in range(4000):
            time.sleep(0.03)
            events.append(i)
            yield i
    finally:
        events.append("closed")

def show(i):
    ramp = np.arange(16, dtype=np.uint8)[None, None, :, None] * 8
    return np.broadcast_to(ramp + np.uint8(i % 100), (3, 16, 16, 3)).copy()

panel = RunPanel(work, total=4000, preview=show)
panel
"""


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook(CELL, "panel", "'not blocked'")
    notebook.page.wait_for_function("document.querySelectorAll('.fe-run-panel').length === 2")
    return notebook


def test_it_runs_without_blocking_and_shows_where_it_is(book):
    root, other = book.root("run-panel"), book.root("run-panel", 1)
    root.get_by_role("button", name="Start").press("Enter")
    shows(root, job="running")
    book.page.wait_for_function("document.querySelector('.fe-run-panel progress').value > 0.001")
    assert int(book.kernel("print(len(events))")) > 0  # the kernel answers while the run goes on
    assert re.search(r"\d+ of 4000, about [\d mins]+ left, [\d.]+ GiB", root.inner_text())
    assert other.get_attribute("data-job") == "running"
    assert root.get_by_role("button", name=re.compile("Start")).is_disabled()
    assert book.page.locator(".jp-OutputArea-output", has_text="not blocked").count() == 1


def test_the_preview_shows_the_step(book):
    root = book.root("run-panel")
    caption = root.locator("figcaption", has_text="preview at step")
    before = caption.inner_text()
    book.page.wait_for_function(
        "(text) => document.querySelector('.fe-run-panel figcaption').innerText !== text", arg=before
    )
    shown = pixels(root.locator("img")).astype(int)
    assert shown.shape == (16, 48, 3)  # three frames side by side
    assert abs(np.diff(shown[:, :16, 0], axis=1).mean() - 8) < 1  # the ramp that the run drew, not a blank


def test_cancel_stops_the_run(book):
    """Catches a cancel that hides the run: no step is taken after it, and the generator is closed."""
    root = book.root("run-panel")
    root.get_by_role("button", name="Cancel").click()
    shows(root, job="cancelled")
    assert book.kernel("print(events[-1], panel.worker.running)") == "closed False"
    assert root.get_by_role("button", name="Start again").is_enabled()
    assert root.get_by_role("button", name="Cancel").count() == 0


def test_a_lost_kernel_is_noticed_and_the_preview_stays(book):
    root = book.root("run-panel")
    root.get_by_role("button", name="Start again").click()
    shows(root, job="running")
    root.locator("figcaption", has_text="preview at step").wait_for()
    book.kernel("import os, threading; threading.Timer(0.3, os._exit, (1,)).start()")  # as a kernel out of memory ends
    shows(root, job="lost")
    assert "No kernel answered" in root.locator(".fe-job").inner_text()
    dialog = book.page.locator(".jp-Dialog button")
    if dialog.count():
        dialog.first.click()
    assert root.locator("img").evaluate("(image) => image.complete && image.naturalWidth") == 48


def test_an_exported_panel_says_that_no_kernel_answers(drawn):
    root = drawn(EXAMPLES["RunPanel"]())
    assert root.get_attribute("data-job") == "done"
    root.get_by_role("button", name="Start again").click()
    assert "No kernel answered" in root.locator(".fe-job").inner_text()
    assert root.locator("img").is_visible()
