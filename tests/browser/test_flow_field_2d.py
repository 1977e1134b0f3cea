"""FlowField2D: the browser's particles against the NumPy reference, what is drawn, and life without a kernel."""

import itertools
import re

import numpy as np
import pytest

from flowedit.toy import SCENES, Mixture, Scene
from flowedit.widgets.flow_field_2d import FlowField2D
from notebooks.publish.catalog import FOLDER

from .conftest import pixels, shows

UNEVEN = Scene(
    title="Uneven weights and spreads",
    source=Mixture(np.array([0.7, 0.3]), np.array([[-1.0, 0.5], [0.5, -1.0]]), np.array([0.2, 0.6])),
    target=Mixture(
        np.array([0.1, 0.5, 0.4]), np.array([[1.0, 1.5], [1.5, -0.5], [-0.5, 1.0]]), np.array([0.5, 0.0, 0.3])
    ),
)
SCENE_SET = {**SCENES, "uneven": UNEVEN}


def saved_paths(root) -> np.ndarray:
    """Positions (steps + 1, particles, 2) that the page draws."""
    return np.array(root.evaluate("(root) => root.feValues()")).swapaxes(0, 1)


def test_particles_equal_numpy_to_1e_9(drawn):
    """Catches a wrong posterior, a Heun step past 0, a source field read at the wrong point, a swapped velocity."""
    cases = [
        {"scene": scene, "mode": mode, "solver": solver, "steps": steps, "shift": shift}
        for (scene, mode, solver), (steps, shift) in zip(
            itertools.product(SCENE_SET, ("generate", "edit"), ("euler", "heun")),
            itertools.cycle([(12, 1.0), (7, 5.0), (40, 3.0), (1, 1.0)]),
            strict=False,
        )
    ]
    assert {case["steps"] for case in cases if case["mode"] == "edit"} > {1}
    widgets = [FlowField2D(SCENE_SET, particles=16, seed=nth, **case) for nth, case in enumerate(cases)]
    root, moved = drawn(*widgets), 0.0
    for nth, widget in enumerate(widgets):
        expected = widget.trajectories()
        np.testing.assert_allclose(saved_paths(root.nth(nth)), expected, rtol=0, atol=1e-9, err_msg=str(cases[nth]))
        moved = max(moved, np.abs(expected[-1] - expected[0]).max())
    assert moved > 1


def test_a_button_has_the_name_that_the_lesson_uses(drawn):
    """Catches a reader who looks for a *difference* flow among buttons called otherwise."""
    text = (FOLDER / "_src" / "02_flows_by_hand.py").read_text(encoding="utf-8")
    name = re.search(r"switch to the \*(\w+)\* flow", text)[1]
    root = drawn(FlowField2D(particles=3))
    root.get_by_role("button", name=f"{name} flow").click()
    assert "source to target" in root.locator("canvas").get_attribute("aria-label")


def test_equal_fields_are_said_to_be_the_identity(drawn):
    root = drawn(FlowField2D(scene="same", mode="edit", particles=10))
    assert "equal fields are the identity" in root.inner_text()
    root.get_by_role("button", name="Noise to target").click()
    assert "identity" not in root.inner_text()


def test_a_state_without_numbers_is_refused_in_place(open_page):
    """Catches a page error for every frame drawn, where a message would do."""
    broken = re.sub(r'"steps": \d+', '"steps": "many"', FlowField2D(particles=3).to_html())
    watched = open_page(broken)
    assert "could not be drawn: its state holds no numbers" in watched.root("flow-field-2d").inner_text()
    watched.page.wait_for_timeout(300)
    assert len(watched.errors) == 1  # what the console is told
    watched.errors.clear()


def test_the_picture_shows_the_particles_where_they_are(drawn):
    """Catches an axis drawn upside down: one particle, and the coloured pixels' centre is where it should be."""
    scene = Scene(title="one", source=Mixture.even([(-1.0, 0.5)]), target=Mixture.even([(1.0, 0.5)]))
    root = drawn(FlowField2D({"one": scene}, particles=1, mode="edit", at=0, steps=4))

    def centre():
        shown = pixels(root.locator("canvas"))
        rows, columns = np.nonzero((shown[..., 2] >= 100) & (shown[..., 0] <= 60))
        return columns.mean() / shown.shape[1], rows.mean() / shown.shape[0]

    start = centre()
    root.locator("canvas").press("End")
    end = centre()
    assert start[0] < 0.35
    assert end[0] > 0.65
    assert start[1] == pytest.approx(end[1], abs=0.02)
    assert start[1] < 0.45


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook(
        "from flowedit.widgets.flow_field_2d import FlowField2D\n"
        "widget = FlowField2D(particles=20, scene='clusters', mode='edit', solver='heun', steps=10)\nwidget",
        "widget",
    )
    notebook.page.wait_for_function("document.querySelectorAll('.fe-flow-field-2d canvas').length === 2")
    return notebook


def test_keys_and_gestures_reach_the_kernel_and_both_views(book):
    first, second = book.root("flow-field-2d"), book.root("flow-field-2d", 1)
    canvas = first.locator("canvas")
    for key in ("End", "ArrowLeft"):
        canvas.press(key)
    for _ in range(2):
        first.get_by_label("Particle followed").press("ArrowRight")
    first.get_by_label("Scene").select_option("ring")
    first.get_by_role("button", name="Euler").click()
    book.wait_for_kernel("print(widget.at, widget.pick, widget.scene, widget.solver)", "9 1 ring euler")
    assert second.get_attribute("data-at") == "9"
    assert second.get_by_label("Scene").input_value() == "ring"
    canvas.press("Home")
    canvas.press("Space")
    shows(first, at=10)
    first.get_by_role("button", name="Play").wait_for()


def test_the_kernel_moves_the_view_and_refuses_nonsense(book):
    book.kernel("widget.scene = 'rows'; widget.steps = 6; widget.at = 3")
    shows(book.root("flow-field-2d"), at=3)
    expected = FlowField2D(particles=20, scene="rows", mode="edit", solver="euler", steps=6)
    np.testing.assert_allclose(saved_paths(book.root("flow-field-2d")), expected.trajectories(), rtol=0, atol=1e-9)
    assert "No scene 'nowhere'" in book.kernel("widget.scene = 'nowhere'")


def test_extremes_draw(drawn):
    many = {"particles": 400, "steps": 200, "solver": "heun", "mode": "edit"}
    for text in drawn(FlowField2D(particles=1, steps=1), FlowField2D(**many)).all_inner_texts():
        assert re.search(r"end [\d.e-]+ from a fine solution", text)
