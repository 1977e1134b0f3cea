"""AlphaExplorer: moving over the grid changes picture, curves and numbers at once; the kernel computes new values."""

import re
import time

import numpy as np
import pytest

from flowedit.widgets import AlphaExplorer

from .conftest import pixels, shows
from .examples import EXAMPLES, run_trace

SETUP = """
import time
import numpy as np
from flowedit.widgets import AlphaExplorer
from tests.browser.examples import run_trace
def make(alpha):
    frames = np.full((5, 24, 32, 3), int(10 * alpha), np.uint8)
    return alpha, frames, run_trace(alpha, steps=6), {"score": alpha / 2}
def slowly(alpha):
    if alpha == 13:
        raise ValueError("thirteen is refused")
    for i in range(20):
        time.sleep(0.02)
        yield i + 1, 40
    while not go:  # until the test has looked at what the page shows meanwhile
        time.sleep(0.02)
        yield 20, 40
    return make(alpha)
go = []
widget = AlphaExplorer([make(a) for a in (0, 5, 10)], compute=slowly, alpha=5.0)
widget
"""

MOVED = """(row) => {
    const [words, button] = [row.querySelector("[role=status]"), row.querySelector("button")];
    const before = button.getBoundingClientRect().left;
    words.textContent += ", and some words more";
    return button.getBoundingClientRect().left - before;
}"""
"""How far the button beside a job's words goes when they grow."""


def run(alpha, *, size=(5, 24, 32)):
    return alpha, np.full((*size, 3), int(10 * alpha), np.uint8), run_trace(alpha, steps=6), {"score": alpha / 2}


@pytest.fixture(scope="module")
def book(open_notebook):
    book = open_notebook(SETUP, "widget", "1 + 1")
    book.page.wait_for_function("document.querySelectorAll('.fe-alpha-explorer[data-drawn]').length === 2")
    return book


def colour(root, which=-1) -> int:
    shown = pixels(root.locator("canvas").nth(which))
    assert shown.min() == shown.max()
    return int(shown[0, 0, 0])


def test_moving_changes_picture_numbers_and_curves_and_reaches_the_kernel(book):
    root, second = book.root("alpha-explorer"), book.root("alpha-explorer", 1)
    slider = root.get_by_label("Alpha", exact=True)
    assert colour(root) == 50
    slider.press("ArrowRight")
    shows(root, drawn="10@0")
    assert (colour(root), colour(second)) == (100, 100)
    assert root.locator("output.fe-readout").last.inner_text().startswith("score 5")
    assert slider.get_attribute("aria-valuetext") == "alpha 10, 3 of 3"
    book.wait_for_kernel("print(widget.alpha)", "10.0")
    book.kernel("widget.alpha = 0.0; widget.index = 4")
    shows(root, drawn="0@4")
    assert colour(root) == 0


def test_a_new_value_is_computed_with_progress_and_joins_the_grid(book):
    root = book.root("alpha-explorer")
    root.get_by_label("New alpha").fill("7")
    root.get_by_role("button", name="Compute this alpha").click()
    shows(book.root("alpha-explorer"), job="running")
    assert root.locator(".fe-job").evaluate(MOVED) == 0  # or a press on Cancel while the words change would miss it
    root.get_by_label("Alpha", exact=True).press("End")  # the page is not frozen meanwhile
    shows(root, drawn="10@4")
    assert book.kernel("print(len(widget.runs))") == "3"  # nor is the kernel
    book.page.wait_for_function("document.querySelector('.fe-alpha-explorer progress').value > 0")
    assert re.search(r"\d+ of 40", root.locator(".fe-job").inner_text())
    book.kernel("go.append(1)")
    shows(book.root("alpha-explorer"), job="done")
    shows(root, drawn="7@4")
    assert colour(root) == 70
    assert book.kernel("print([run['alpha'] for run in widget.runs])") == "[0.0, 5.0, 7.0, 10.0]"


def test_cancel_stops_the_work_and_a_failure_is_said(book):
    root = book.root("alpha-explorer")
    book.kernel("go.clear()")
    root.get_by_label("New alpha").fill("8")
    root.get_by_role("button", name="Compute this alpha").click()
    shows(book.root("alpha-explorer"), job="running")
    clicked = time.monotonic()
    root.get_by_role("button", name="Cancel").click()
    shows(book.root("alpha-explorer"), job="cancelled")
    assert time.monotonic() - clicked < 3
    assert book.kernel("widget.worker.wait(5); print(widget.worker.running, len(widget.runs))") == "False 4"
    root.get_by_label("New alpha").fill("13")
    root.get_by_role("button", name="Compute this alpha").click()
    shows(book.root("alpha-explorer"), job="failed")
    assert "Failed: ValueError: thirteen is refused" in root.locator(".fe-job").inner_text()


def test_a_metric_of_a_run_that_joins_can_be_chosen(open_notebook):
    """Catches a list made once: a metric that only a later run has could never be chosen."""
    book = open_notebook(SETUP)
    book.page.wait_for_selector(".fe-alpha-explorer[data-drawn]")
    root = book.root("alpha-explorer")
    book.kernel("widget.add((*make(2)[:3], {'score': 1, 'flicker': 7}))")
    shows(root, drawn="2@0")
    root.get_by_role("combobox", name="Metric").select_option("flicker")
    assert root.locator(".fe-plot").first.locator("circle").count() == 1


def test_it_fits_a_laptop(drawn):
    """Catches picture, curves and table one below the other, so that nobody sees what the slider does."""
    root = drawn(EXAMPLES["AlphaExplorer"](), width=860)
    assert root.bounding_box()["height"] < 700
    plots, picture = root.locator(".fe-plot"), root.locator("canvas").last.bounding_box()
    assert all(plots.nth(i).bounding_box()["x"] > picture["x"] + picture["width"] for i in (0, 1))


def test_every_curve_is_named_and_lies_within_the_axis(drawn):
    """Catches grey curves that nobody can tell apart, and a curve that ends above the last number of its axis."""
    root = drawn(AlphaExplorer([run(alpha) for alpha in (0, 0.5, 2, 5, 10, 25)], alpha=2.0))
    plot = root.get_by_role("slider", name="Reading over the steps")
    tags = plot.locator("text.fe-tag")
    assert set(tags.all_text_contents()) == {f"\u03b1 {alpha:g}" for alpha in (0, 0.5, 2, 5, 10, 25)}
    heights = sorted(tags.evaluate_all("(all) => all.map((text) => +text.getAttribute('y'))"))
    assert np.diff(heights).min() > 11
    assert tags.evaluate_all(
        "(all) => all.every((tag) => tag.getBBox().x + tag.getBBox().width <= tag.closest('svg').clientWidth)"
    )
    for one in (plot, root.get_by_role("slider", name="Metric over alpha")):
        top = one.locator("line.fe-gridline").evaluate_all(
            "(all) => Math.min(...all.map((l) => +l.getAttribute('y1')))"
        )
        ys = [float(y) for d in one.locator("path").evaluate_all("(all) => all.map((p) => p.getAttribute('d'))")
              for y in re.findall(r"[ML]\S+ ([\d.]+)", d)]  # fmt: skip
        assert min(ys) >= top - 0.1
    plot.press("Home")
    plot.press("ArrowRight")
    words = plot.get_attribute("aria-valuetext")
    assert words.startswith("step 1, ")
    assert "alpha 25: " in words
    assert all(f"alpha {alpha:g}: " in plot.locator(".fe-tip").inner_text() for alpha in (0, 0.5, 2, 5, 10, 25))


def test_source_stands_beside_and_the_metric_curve_passes_its_values(drawn):
    source = np.full((5, 24, 32, 3), 7, np.uint8)
    root = drawn(AlphaExplorer([run(0), run(2), run(9)], source=source))
    assert colour(root, 0) == 7
    dots = (
        root.locator(".fe-plot")
        .first.locator("circle")
        .evaluate_all("(all) => all.map((c) => [+c.getAttribute('cx'), +c.getAttribute('cy')])")
    )
    (x2, y2) = dots[2]
    root.locator(".fe-plot").first.click(position={"x": x2, "y": y2 + 5})
    shows(root, drawn="9@0")
