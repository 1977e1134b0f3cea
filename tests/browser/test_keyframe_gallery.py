"""KeyframeGallery: decisions are written by gestures, the answer reaches the callable, new pairs come back."""

import numpy as np

from flowedit.widgets import KeyframeGallery

from .conftest import DASH, check_like, shows
from .examples import demo_clip

SETUP = """
import numpy as np
from flowedit.widgets import KeyframeGallery
answers = []
def pair(index, value):
    flat = np.full((24, 32, 3), value, np.uint8)
    return flat, flat, index, {"score": value / 10}
def resume(answer):
    answers.append(answer)
    return [pair(index, 200) for index in answer["redo"]] or None
widget = KeyframeGallery([pair(0, 10), pair(16, 20), pair(32, 30)], resume=resume)
widget
"""


def pair(index, value=9, **scores):
    flat = np.full((24, 32, 3), value, np.uint8)
    return flat, flat, index, scores


def card(root, index):
    return root.get_by_role("region", name=f"Keyframe {index}", exact=True)


def test_the_answer_reaches_the_agent_and_redone_keyframes_come_back(open_notebook):
    book = open_notebook(SETUP, "widget", "1 + 1")
    book.page.wait_for_function("document.querySelectorAll('.fe-keyframe-gallery').length === 2")
    root, second = book.root("keyframe-gallery"), book.root("keyframe-gallery", 1)
    send = root.get_by_role("button", name="Send to the agent")
    assert book.kernel("print(widget.decisions)") == "{}"  # drawing wrote nothing
    assert send.is_disabled()
    cells = book.place()["cells"]
    card(root, 0).get_by_role("button", name="Approve").click()
    card(root, 16).get_by_role("button", name="Approve").click()
    card(root, 32).get_by_role("button", name="Redo").click()
    card(root, 32).get_by_role("textbox").press_sequentially("bold add dd")  # b, a, dd are notebook commands
    assert book.place()["cells"] == cells
    assert second.get_attribute("data-decided") == "2,1,0"
    assert card(second, 32).get_by_role("textbox").input_value() == "bold add dd"
    send.click()
    shows(root, decided="0,0,1")
    assert book.kernel("print(answers)") == "[{'approve': True, 'redo': {32: 'bold add dd'}}]"
    assert card(root, 0).count() == 0
    assert card(root, 32).locator("dd").inner_text() == "20"
    root.get_by_role("button", name="Approve all").click()
    send.click()
    shows(root, job="done")
    assert book.kernel("print(answers[1:])") == "[{'approve': True, 'redo': {}}]"
    book.shut_down_kernel()
    card(root, 32).get_by_role("button", name="Redo").click()
    card(root, 32).get_by_role("textbox").fill("calmer")
    shows(root, decided="0,1,0")
    root.get_by_role("button", name="Send to the agent").click()
    root.get_by_text("No kernel answered").wait_for()


def test_a_redo_is_sent_only_with_words(open_notebook):
    """Catches a keyframe sent back to the agent without a word of what is wrong with it."""
    book = open_notebook(SETUP)
    root = book.root("keyframe-gallery")
    send = root.get_by_role("button", name="Send to the agent")
    send.wait_for()
    assert "Before sending: decide on 3 more." in root.inner_text()
    root.get_by_role("button", name="Approve all").click()
    assert send.is_enabled()
    assert "Before sending" not in root.inner_text()
    for index in (16, 32):
        card(root, index).get_by_role("button", name="Redo").click()
    assert send.is_disabled()
    assert "Before sending: say what should change at frame 16, 32." in root.inner_text()
    card(root, 16).get_by_role("textbox").fill("warmer")
    card(root, 32).get_by_role("textbox").fill("   ")  # blanks are no words
    assert send.is_disabled()
    assert "at frame 32." in root.inner_text()
    card(root, 32).get_by_role("textbox").fill("calmer ")
    send.click()
    shows(root, decided="0,0,2")
    assert book.kernel("print(answers)") == "[{'approve': True, 'redo': {16: 'warmer', 32: 'calmer'}}]"


def test_pictures_are_the_frames(drawn):
    """Catches source and styled exchanged, a pair at another index, and channels in another order."""
    source, styled = demo_clip()
    root = drawn(KeyframeGallery([(source[i], styled[i], i, {}) for i in (0, 32)]))
    for place, frame in enumerate((source[0], styled[0], source[32], styled[32])):
        check_like(root.locator("img").nth(place), frame)


def test_without_a_host_there_is_nothing_to_send_but_decisions_can_be_tried(drawn):
    pairs = [pair(0, reasons=["Too pale."], hue=float("nan")), pair(8, by="offline")]
    root, empty = drawn(KeyframeGallery(pairs), KeyframeGallery([])).all()
    assert "no keyframes to look at" in empty.inner_text()
    assert root.get_by_role("button", name="Send to the agent").count() == 0
    assert "Too pale." in card(root, 0).inner_text()
    assert DASH in card(root, 0).inner_text()
    assert "offline" in card(root, 8).inner_text()
    approve = card(root, 0).get_by_role("button", name="Approve")
    approve.click()
    assert root.get_attribute("data-decided") == "1,0,1"
    approve.click()  # a second press takes it back
    assert root.get_attribute("data-decided") == "0,0,2"
