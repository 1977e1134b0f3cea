"""ResidualInspector: cells, readings and lines say what the trace says; a click moves a linked scrubber."""

import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from playwright.sync_api import expect

from flowedit.trace import READINGS, StepTrace, Trace
from flowedit.widgets import ResidualInspector
from flowedit.widgets.export import place, script_of, style_of
from notebooks.publish.site import Widgets

from .conftest import DASH, shows
from .examples import run_trace

SETUP = """
import ipywidgets
from flowedit.widgets import FrameScrubber, ResidualInspector
from tests.browser.examples import demo_clip, run_trace
widget = ResidualInspector(run_trace(steps=8))
scrubber = FrameScrubber({"source": demo_clip(33, 48, 64)[0]}, keyframes=[0, 16, 32])
ipywidgets.jslink((widget, "index"), (scrubber, "index"))
ipywidgets.VBox([widget, scrubber])
"""


def said(root) -> str:
    return " ".join(root.locator("output.fe-readout").inner_text().split())


def cell(root, step, k):
    return root.locator(f"[data-step='{step}'][data-keyframe='{k}']")


def test_a_click_moves_a_linked_scrubber_and_the_kernel_hears_it(open_notebook):
    book = open_notebook(SETUP, "widget", "1 + 1")
    book.page.wait_for_function("document.querySelectorAll('.fe-residual-inspector .fe-hcell').length === 48")
    root, second = (book.root("residual-inspector", nth) for nth in (0, 1))
    scrubber = book.root("frame-scrubber")
    cell(root, 3, 1).click()
    shows(scrubber, drawn=16)
    assert second.get_attribute("data-cell") == "3,1"
    book.wait_for_kernel("print(widget.step, widget.index)", "3 16")
    book.kernel("widget.index = 32; widget.reading = 'r_k_norm'")
    shows(root, cell="3,2")
    assert root.get_by_role("button", name="r_k").get_attribute("aria-pressed") == "true"
    book.kernel("widget.trace = ResidualInspector(run_trace(steps=12)).trace")
    book.page.wait_for_function("document.querySelectorAll('.fe-residual-inspector .fe-hcell').length === 72")
    book.shut_down_kernel()
    root.locator(".fe-heat").press("ArrowUp")
    root.locator(".fe-heat").press("End")
    shows(scrubber, drawn=16)
    assert second.get_attribute("data-cell") == "11,1"
    scrubber.get_by_label("Frame", exact=True).press("Home")
    shows(root, cell="11,0")
    scrubber.get_by_label("Frame", exact=True).press("ArrowRight")
    root.get_by_text("Frame 1 is no keyframe").wait_for()


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_says_the_number_of_the_trace(drawn, reading):
    trace = run_trace(steps=6)
    root = drawn(ResidualInspector(trace, reading=reading))
    cell(root, 4, 2).hover()
    name = {"gap_norm": "gap left", "r_k_norm": "r_k", "v_diff_norm": "v_diff", "delta_v_norm": "Δv"}[reading]
    shown = re.search(rf"{name} (\S+)", said(root))
    assert float(shown[1]) == pytest.approx(trace.array(reading)[4, 2], rel=1e-3)


def test_brighter_cells_hold_larger_values(drawn):
    trace = run_trace(steps=10)
    values = trace.array("r_k_norm")
    root = drawn(ResidualInspector(trace, reading="r_k_norm"))
    fills = root.locator(".fe-hcell").evaluate_all(
        "(all) => all.map((c) => [+c.dataset.step, +c.dataset.keyframe,"
        " c.getAttribute('fill').match(/\\d+/g).map(Number).reduce((a, b) => a + b)])"
    )
    light = [fill[2] for fill in sorted(fills, key=lambda fill: values[fill[0], fill[1]])]
    assert light == sorted(light)
    assert len(set(light)) > 10


def test_lines_pass_through_the_values_and_the_rule_is_drawn(drawn):
    trace = run_trace(steps=10)
    root = drawn(ResidualInspector(trace, reading="r_k_norm", view="lines"))
    path = root.locator("path[data-series='keyframe 16 (slot 4)']").first
    points = [tuple(map(float, p.split())) for p in re.split("[ML]", path.get_attribute("d")) if p]
    ys = np.array([y for _, y in points])
    values = trace.array("r_k_norm")[:, 1]
    slope, offset = np.polyfit(values, ys, 1)
    np.testing.assert_allclose(slope * values + offset, ys, atol=0.11)
    rule = float(root.locator("line.fe-rule").first.get_attribute("y1"))
    assert rule == pytest.approx(slope * 0.01 + offset, abs=0.2)
    plot = root.locator(".fe-plot").first
    plot.focus()
    plot.press("Home")
    plot.press("ArrowRight")
    assert "step 1," in plot.locator(".fe-tip").inner_text()
    root.get_by_role("button", name="v_diff").click()
    assert root.locator(".fe-plot").first.locator("line.fe-rule").count() == 0


NOWHERE = (math.nan, math.nan)


def test_each_view_has_its_own_hatching(drawn):
    """Catches one id for all: cells of a second view are blank where the first one is hidden."""
    trace = Trace(keyframes=(0, 4), slots=(0, 1), steps=[_step(NOWHERE), _step(NOWHERE, 1)])
    roots = drawn(ResidualInspector(trace), ResidualInspector(trace)).all()
    used = [root.locator(".fe-hcell").first.get_attribute("fill") for root in roots]
    assert len(set(used)) == 2
    assert used == [f"url(#{root.locator('pattern').get_attribute('id')})" for root in roots]


def _step(values, step=0):
    return StepTrace(
        step=step, sigma=1.0, sigma_next=0.0, kappa=0.5, r_k_norm=values, v_diff_norm=values,
        z_diff_norm=values, gap_norm=values,
    )  # fmt: skip


@pytest.mark.parametrize("view", ["heat", "lines"])
@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (Trace(keyframes=(), slots=()), "No step was recorded yet"),
        (Trace(keyframes=(), slots=(), steps=[_step(())]), "no keyframe"),
        (Trace(keyframes=(4,), slots=(1,), alpha=None, steps=[_step((0.25,))]), "0.25"),
        (Trace(keyframes=(0, 4), slots=(0, 1), steps=[_step((math.nan, 1.0)), _step((math.inf, 0.0), 1)]), DASH),
        (Trace(keyframes=(0, 4), slots=(0, 1), steps=[_step(NOWHERE, i) for i in range(3)]), f"gap left {DASH}"),
    ],
)
def test_extreme_traces_are_drawn_or_named(drawn, trace, words, view):
    drawn(ResidualInspector(trace, view=view)).get_by_text(words).first.wait_for()


def test_widgets_are_read_out_of_an_executed_notebook(open_page):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SETUP)])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(Path.cwd())}}).execute()
    packed = sorted(Widgets(notebook.metadata).found.values(), key=lambda widget: widget.name)
    assert [widget.name for widget in packed] == ["FrameScrubber", "ResidualInspector"]
    places = place(0, "<p>first</p>") + place(1)
    watched = open_page(f"<html><head>{style_of(packed)}</head>{places}{script_of(packed)}</html>")
    watched.root("frame-scrubber").get_by_label("Frame", exact=True).press("End")
    shows(watched.root("frame-scrubber"), drawn=32)
    assert watched.root("residual-inspector").locator(".fe-hcell").count() == 24


@pytest.mark.parametrize("reading", READINGS)
def test_colours_and_heights_are_the_same_in_every_run(drawn, reading):
    """Catches a run that left 0.08 of a reading and looks as bright, or as high, as one that left all of it."""
    trace = Trace(keyframes=(0,), slots=(0,), steps=[_step((0.08,)), _step((0.04,), 1)])
    root = drawn(ResidualInspector(trace, reading=reading))
    assert root.locator(".fe-colourbar span").all_inner_texts()[:2] == ["0", "1"]
    red, green, blue = map(int, re.findall(r"\d+", cell(root, 0, 0).get_attribute("fill")))
    assert red + green + blue < 200
    root.get_by_role("button", name="lines").click()
    ticks = root.locator(".fe-plot .fe-ticktext[text-anchor=end]")
    expect(ticks.first).to_have_text("0")
    expect(ticks.last).to_have_text("0.1" if reading == "r_k_norm" else "1")  # of r_k, a rule at 0.01 is read
