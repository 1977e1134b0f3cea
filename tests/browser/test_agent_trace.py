"""AgentTrace: every event can be reached, totals add up to what was recorded, pictures and failures are shown."""

import re

import pytest
from PIL import Image

from flowedit.widgets import AgentTrace

from .conftest import check_like, shows
from .examples import EXAMPLES, demo_clip

USAGE = {"calls": 1, "tokens_in": 100, "tokens_out": 20, "usd": 0.25}
EVENTS = [
    {"node": "plan", "seconds": 1.5, "prompt": "paint it <b>blue</b>", "usage": USAGE},
    {"node": "style", "keyframe": 16, "seconds": 0.5, "usage": {"tokens_out": 7, "usd": 0.5}},
    {"node": "judge", "seconds": 2.0, "outcome": "failed", "notes": ["The judge gave up."]},
]
SETUP = f"""
from flowedit.widgets import AgentTrace
widget = AgentTrace({EVENTS!r}, position=0)
widget
"""


def totals(root) -> str:
    return " ".join(root.locator("output.fe-readout").inner_text().split())


def test_keys_clicks_kernel_and_two_views(open_notebook):
    book = open_notebook(SETUP, "widget", "1 + 1")
    book.page.wait_for_function("document.querySelectorAll('.fe-agent-trace[data-position]').length === 2")
    root, second = book.root("agent-trace"), book.root("agent-trace", 1)
    assert totals(root) == "event 1 of 3 1.5 s of 4 s of work 1 calls 120 tokens $0.2500"
    assert root.locator("pre").inner_text() == EVENTS[0]["prompt"]  # shown as text, not as markup
    root.get_by_label("Event", exact=True).press("ArrowRight")
    shows(second, position=1)
    assert totals(second) == "event 2 of 3 2 s of 4 s of work 1 calls 127 tokens $0.7500"
    root.get_by_role("button", name="judge").click()
    shows(second, position=2)
    assert "The judge gave up." in root.inner_text()
    root.get_by_role("button", name="judge").press("Home")
    shows(root, position=0)
    assert root.locator("[aria-current=step]").inner_text().startswith("✓")
    root.get_by_role("button", name="judge").press("PageDown")
    shows(root, position=2)
    book.wait_for_kernel("print(widget.position)", "2")
    book.kernel("widget.position = 1")
    shows(root, position=1)
    book.shut_down_kernel()
    root.get_by_label("Event", exact=True).press("Space")
    root.get_by_role("button", name="Pause").wait_for()
    shows(root, position=2)
    root.get_by_role("button", name="Play").wait_for()


def test_pictures_and_those_that_are_gone(drawn, tmp_path):
    """Catches a picture looked up under another's key, too."""
    frames = dict(zip(("source.png", "styled.png"), (clip[16] for clip in demo_clip()), strict=True))
    for name, frame in frames.items():
        Image.fromarray(frame).save(tmp_path / name)
    images = ["styled.png", "source.png", "gone.png"]
    events = [{"node": "a", "images": [*frames]}, {"node": "style", "images": images, "values": {"a": None}}]
    root = drawn(AgentTrace(events, folder=tmp_path))
    for place, name in enumerate(images[:2]):
        check_like(root.locator("img").nth(place), frames[name])
    assert root.locator("img").count() == 2
    assert "gone.png is no longer there" in root.inner_text()


CUT_OFF = """(root) => [...root.querySelectorAll(".fe-eventname")].filter((name) => {
    const texts = document.createTreeWalker(name, NodeFilter.SHOW_TEXT);
    let last = null;
    while (texts.nextNode()) last = texts.currentNode;
    const end = document.createRange();
    end.setStart(last, last.length - 1);
    end.setEnd(last, last.length);
    const [shown, room] = [end, name].map((one) => one.getBoundingClientRect());
    return shown.width === 0 || shown.right > room.right + 0.5;
}).map((name) => name.textContent)"""
"""Names of events whose last letter, which is the keyframe's number, is not seen."""


@pytest.mark.parametrize("width", [1200, 860, 620, 320])
def test_a_recorded_run_tells_its_keyframes_apart(drawn, width):
    """Catches rows that all read "style_keyfram...", with the keyframe's number beyond the dots."""
    long = AgentTrace([{"node": "a_very_long_name_of_a_node" * 3, "keyframe": 1024}])
    root = drawn(EXAMPLES["AgentTrace"](), long, width=width)
    names = root.first.locator(".fe-eventname").all_text_contents()
    painted = [name for name in names if name.startswith("style_keyframe")]
    assert painted[:5] == [f"style_keyframe {index}" for index in (8, 0, 24, 16, 32)]
    assert [root.nth(nth).evaluate(CUT_OFF) for nth in (0, 1)] == [[], []]


def test_verdicts_of_a_recorded_run_are_a_table(drawn):
    """Catches a list of records shown as raw JSON."""
    root = drawn(EXAMPLES["AgentTrace"]())
    detail = root.locator(".fe-detail")
    assert detail.locator("tbody tr").count() == 5
    assert detail.locator("th").all_inner_texts() == [
        "index", "attempt", "structure", "disagreement", "change", "faults", "by",
    ]  # fmt: skip
    assert detail.locator("tbody tr").nth(1).locator("td").nth(5).inner_text() == "contours"
    assert "index 8: It keeps too little of the source's contours" in detail.inner_text()
    slider = root.get_by_label("Event", exact=True)
    slider.press("Home")
    for place in range(EXAMPLES["AgentTrace"]().position + 8):
        shows(root, position=place)
        assert not re.search(r"[{}\[\]]|object Object|undefined", detail.inner_text()), place
        slider.press("ArrowRight")


def test_no_event_is_said_one_cannot_be_moved_and_of_many_the_one_shown_is_in_view(drawn):
    root = drawn(
        AgentTrace([]), AgentTrace([{"node": "a"}]), AgentTrace([{"node": f"n{i}"} for i in range(60)], position=0)
    )
    assert "Nothing was recorded yet" in root.first.inner_text()
    assert root.nth(1).get_by_label("Event", exact=True).is_disabled()
    root.last.get_by_label("Event", exact=True).press("End")
    shows(root.last, position=59)
    shown, inside = (root.last.locator(one).bounding_box() for one in ("ol", "[aria-current=step]"))
    assert shown["y"] <= inside["y"]
    assert inside["y"] + inside["height"] <= shown["y"] + shown["height"] + 1
