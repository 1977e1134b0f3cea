"""SlotMap: slots and collisions as the package computes them, keys, and life without a kernel."""

import numpy as np
import pytest

from flowedit.errors import KeyframeError
from flowedit.frames import group_of, slot_count, slots_of
from flowedit.widgets.slot_map import SlotMap

from .conftest import pixels, shows
from .examples import scene

COLLISIONS = [[], [0, 16, 32], [0, 5, 6], [29, 32], [1, 2, 3, 4], [3, 33], [-1, 4], [8, 8], [8, 4], [0, 4, 13, 16, 17]]


def message_of(keyframes, num_frames=33):
    try:
        slots_of(keyframes, num_frames)
    except KeyframeError as error:
        return str(error)
    return ""


def test_collisions_are_named_as_the_package_names_them(drawn):
    """Catches a rule of slots_of that the browser does not know, and words that differ."""
    roots = drawn(*(SlotMap(33, keyframes=keys) for keys in COLLISIONS)).all()
    expected = [message_of(keys) for keys in COLLISIONS]
    assert len(set(expected)) >= 8
    for root, text in zip(roots, expected, strict=True):
        message = root.locator(".fe-collision")
        assert message.inner_text() == text if text else not message.is_visible()
        assert root.get_attribute("data-problem") == text


@pytest.mark.parametrize("num_frames", [1, 5, 33, 81])
def test_every_frame_stands_in_its_slot(drawn, num_frames):
    """Catches groups of the wrong size: 1, 4, 4, ..."""
    stand = drawn(SlotMap(num_frames)).evaluate(
        """node => [...node.querySelectorAll('.fe-slot')].map(
            slot => [...slot.querySelectorAll('.fe-frame')].map(frame => Number(frame.dataset.frame)))"""
    )
    assert stand == [list(group_of(slot)) for slot in range(slot_count(num_frames))]


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook(
        "import ipywidgets as W\nfrom flowedit.widgets.slot_map import SlotMap\n"
        "from tests.browser.examples import scene\n"
        "widget = SlotMap(frames=scene(33, 48, 64))\nW.HBox([widget])",
        "widget",
    )
    notebook.page.wait_for_function("document.querySelectorAll('.fe-slot-map[data-drawn]').length === 2")
    return notebook


def test_keys_choose_keyframes_and_reach_the_kernel(book):
    first, second = book.root("slot-map"), book.root("slot-map", 1)
    cells = book.place()["cells"]
    frames = first.get_by_role("listbox")
    for key in [
        "Home",
        "Space",
        "PageDown",
        "ArrowLeft",
        "ArrowLeft",
        "Space",
        "End",
        "ArrowUp",
        "Enter",
        "b",
        "d",
        "d",
    ]:
        frames.press(key)
    book.wait_for_kernel("print(widget.keyframes, widget.index)", "[0, 14, 28] 28")
    assert book.place()["cells"] == cells
    assert second.locator("[aria-selected=true]").all_text_contents() == ["0", "14", "28"]
    second.locator("[data-frame='16']").click()
    book.wait_for_kernel("print(widget.problem)", message_of([0, 14, 16, 28]))
    assert first.locator(".fe-collision").inner_text() == message_of([0, 14, 16, 28])
    first.get_by_role("button", name="Clear all keyframes").click()
    assert second.locator("[aria-selected=true]").count() == 0
    book.wait_for_kernel("print(widget.keyframes)", "[]")
    assert not second.locator(".fe-collision").is_visible()


def test_the_echo_of_a_pick_undoes_nothing(book):
    """Catches moves and picks that wait to be sent while the kernel's echo of an earlier one puts them back."""
    frames = book.root("slot-map").get_by_role("listbox")
    frames.press("Home")
    book.wait_for_kernel("print(widget.index)", "0")
    book.kernel("import time\nwidget.observe(slow := lambda _: time.sleep(2), 'index')")
    for nth, key in enumerate(["ArrowRight", "Space", *9 * ["ArrowRight"], "Space", *10 * ["ArrowRight"], "Space"]):
        frames.press(key)
        book.page.wait_for_timeout(80 if nth > 1 else 250)
    book.wait_for_kernel("print(widget.keyframes, widget.index)", "[1, 10, 20] 20", seconds=20)
    book.kernel("widget.unobserve(slow, 'index')")
    assert book.root("slot-map", 1).locator("[aria-selected=true]").all_text_contents() == ["1", "10", "20"]


def test_hover_reads_out_the_frame_and_shows_it(book):
    root = book.root("slot-map")
    root.locator("[data-frame='23']").hover()
    shows(root, drawn=23)
    assert "frame 23 → slot 6" in root.inner_text()
    assert "shares it with frames 21, 22, 24" in root.inner_text()
    np.testing.assert_array_equal(pixels(root.locator("canvas")), scene(33, 48, 64)[23])


def test_hover_moves_nothing(book):
    """Catches a pointer that passes by: it took the keyboard's place with it, wrote a trait without a gesture, or moved
    the button that it was on its way to."""
    root, second = book.root("slot-map"), book.root("slot-map", 1)
    root.locator("[data-frame='23']").hover()
    root.get_by_role("listbox").press("Home")
    book.wait_for_kernel("print(widget.index)", "0")
    root.locator(".fe-slotread").evaluate("(one) => { one.style.width = '650px'; }")  # one line of frame 0, two of 23
    root.locator(".fe-slotread strong").hover()
    shows(root, drawn=0)
    below = root.get_by_role("button", name="Clear all keyframes").bounding_box()
    root.locator("[data-frame='23']").hover(position={"x": 6, "y": 6})
    shows(root, drawn=23)
    assert root.get_by_role("button", name="Clear all keyframes").bounding_box() == below
    book.page.wait_for_timeout(400)  # longer than a gesture takes to be sent
    assert book.kernel("print(widget.index)") == "0"
    assert second.get_attribute("data-frame") == "0"
    assert root.get_by_role("listbox").get_attribute("aria-activedescendant").endswith("-0")
    root.get_by_role("listbox").press("ArrowRight")
    book.wait_for_kernel("print(widget.index)", "1")
    assert "frame 1 → slot 1" in root.inner_text()
    root.locator("[data-frame='22']").hover()
    shows(root, drawn=22)
    root.locator(".fe-heading, .fe-slotread strong").last.hover()
    shows(root, drawn=1)


def test_another_clip_drops_what_it_cannot_hold(book):
    book.kernel("widget.keyframes = [0, 28]; widget.index = 30; widget.show_clip(scene(17, 32, 32))")
    book.page.wait_for_function("document.querySelectorAll('.fe-slot-map .fe-frame').length === 34")
    root = book.root("slot-map")
    assert root.get_attribute("data-frame") == "16"
    assert root.locator("[aria-selected=true]").count() == 1


@pytest.mark.parametrize(
    ("keyframes", "said"),
    [([4], "Keyframe 4 in slot 1."), ([0, 8], "Keyframes 0, 8 in slots 0, 2."), ([], "No keyframe")],
)
def test_the_keyframes_are_said_in_words(drawn, keyframes, said):
    assert said in drawn(SlotMap(9, keyframes=keyframes)).inner_text()
