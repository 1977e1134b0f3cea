"""GapExplorer: the browser's closed form against the package's own loop, its keys, and life without a kernel."""

import itertools
import re

import numpy as np
import pytest

from flowedit.widgets.gap_explorer import GapExplorer

from .conftest import shows

MINUS = "\N{MINUS SIGN}"
SETTINGS = [
    dict(zip(("steps", "shift", "strength", "alpha", "beta", "gain", "spread"), values, strict=True))
    for values in itertools.chain(
        itertools.product((1, 7, 50), (1.0, 5.0), (0.8,), (10.0,), (0.0, 0.5), ("exact", "euler"), (0.0, 0.5)),
        [(30, 5.0, 1.0, 10.0, 0.0, "euler", 0.0), (10, 3.3, 0.37, 100.0, 1.0, "euler", 2.0)],
        [(200, 16.0, 1.0, 0.0, 1.0, "exact", 0.0), (2, 0.5, 0.05, 0.5, 0.25, "exact", 1.7)],
    )
]


def saved_rows(root) -> np.ndarray:
    return np.array(root.evaluate("(root) => root.feValues()"))


def expected_rows(widget) -> np.ndarray:
    curves = widget.curves()
    sigmas = np.array(curves.sigmas)
    columns = (curves.kappas, curves.residuals, curves.corrected, curves.last_only, curves.never)
    return np.column_stack([np.arange(widget.steps), sigmas[:-1], sigmas[:-1] - sigmas[1:], *columns])


def test_the_browser_equals_python_to_1e_9(drawn):
    """Catches a grid in double precision, a gain without beta, a field that does not read where it is."""
    widgets = [GapExplorer(**settings) for settings in SETTINGS]
    root = drawn(*widgets)
    for nth, widget in enumerate(widgets):
        expected = expected_rows(widget)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(saved_rows(root.nth(nth)) / scale, expected / scale, rtol=0, atol=1e-9)
        assert root.nth(nth).get_attribute("data-unstable") == " ".join(map(str, widget.curves().unstable))


def test_it_says_where_euler_diverges_and_what_is_forgotten(drawn):
    ideal = GapExplorer(steps=20, gain="euler", spread=0.0)
    wide = GapExplorer(steps=20, gain="exact", spread=0.5)
    first, second = drawn(ideal, wide).all()
    assert re.search(r"Diverges at step 19: .* reaches 2\.083.*under 9\.600", first.locator(".fe-verdict").inner_text())
    assert "every push but the last is forgotten; the two ends are equal" in first.inner_text()
    assert "Stable for every alpha" in second.locator(".fe-verdict").inner_text()
    curves = wide.curves()
    assert f"{curves.corrected[-1]:.3f} D when every step".replace("-", MINUS) in second.inner_text()
    assert "keeps part of each push" in second.inner_text()
    assert abs(curves.corrected[-1]) < 0.5 * abs(curves.last_only[-1])


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook(
        "import ipywidgets as W\nfrom flowedit.widgets.gap_explorer import GapExplorer\n"
        "widget = GapExplorer(steps=20, spread=0.5)\nseen = []\n"
        "widget.observe(lambda change: seen.append((change['name'], change['new'])), ['alpha', 'gain', 'step'])\n"
        "alpha = W.FloatText()\nW.jslink((widget, 'alpha'), (alpha, 'value'))\nW.VBox([widget, alpha])",
        "widget",
    )
    notebook.page.wait_for_selector(".fe-gap-explorer .fe-plot svg")
    notebook.page.wait_for_function("document.querySelectorAll('.fe-gap-explorer').length === 2")
    return notebook


def test_gestures_reach_the_kernel_and_both_views(book):
    first, second = book.root("gap-explorer"), book.root("gap-explorer", 1)
    slider = first.get_by_label("alpha, the rate")
    slider.press("End")
    first.get_by_role("button", name="Euler gain").click()
    first.get_by_role("slider", name="Gap after each step").press("End")
    book.wait_for_kernel("print(widget.alpha, widget.gain, widget.step)", "100.0 euler 19")
    assert second.get_by_label("alpha, the rate").get_attribute("aria-valuetext") == "100"
    assert second.get_attribute("data-step") == "19"
    assert second.get_attribute("data-unstable") == first.get_attribute("data-unstable") != ""
    slider.press("Home")
    book.wait_for_kernel("print(widget.alpha)", "0.0")
    slider.press("PageUp")
    book.wait_for_kernel("print(widget.alpha > 0)", "True")


def test_the_kernel_moves_the_view_and_refuses_nonsense(book):
    book.kernel("widget.set_trait('gain', 'exact'); widget.alpha = 7.3; widget.steps = 5")
    root = book.root("gap-explorer")
    shows(root, step=4)
    assert root.get_by_label("alpha, the rate").get_attribute("aria-valuetext") == "7.3"
    assert "should not be less than 0.0" in book.kernel("widget.alpha = -1.0")
    assert book.kernel("print(widget.alpha)") == "7.3"
    widget = GapExplorer(steps=5, alpha=7.3, spread=0.5)
    np.testing.assert_allclose(saved_rows(root), expected_rows(widget), rtol=0, atol=1e-9)
