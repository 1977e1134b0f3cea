"""FrameScrubber in JupyterLab and from disk: the pixels, the keys, the modes, the links, the extremes."""

import re
import time

import numpy as np
import pytest
from PIL import Image

from flowedit.widgets import FrameScrubber

from .conftest import pixels, shows
from .examples import decode_frame, demo_clip

SETUP = """
import ipywidgets
from flowedit.widgets import FrameScrubber
from tests.browser.examples import demo_clip
source, edited = demo_clip(33, 48, 64)
widget = FrameScrubber({"source": source, "edited": edited}, keyframes=[0, 16, 32], index=3)
seen = []
widget.observe(lambda change: seen.append(change["new"]), "index")
widget
"""
COMPOSED = """
other = FrameScrubber({"only": source[:9]})
slider = ipywidgets.IntSlider(max=32)
ipywidgets.jslink((widget, "index"), (slider, "value"))
ipywidgets.link((widget, "index"), (other, "index"))
ipywidgets.VBox([ipywidgets.HBox([widget, other]), slider])
"""


@pytest.fixture(scope="module")
def book(open_notebook):
    book = open_notebook(SETUP, COMPOSED, "1 + 1")
    book.page.wait_for_function("document.querySelectorAll('.fe-frame-scrubber[data-drawn]').length === 3")
    return book


def frame_of(root) -> int:
    return int(root.get_attribute("data-frame"))


def seen_until(look, page, enough, seconds=30) -> set:
    """All that `look` gave, looking often, until it was enough or the time is over."""
    seen, until_when = set(), time.monotonic() + seconds
    while not enough(seen) and time.monotonic() < until_when:
        seen.add(look())
        page.wait_for_timeout(20)
    return seen


def test_pixels_equal_the_frame_in_python(book):
    source, edited = demo_clip(33, 48, 64)
    root = book.root("frame-scrubber")
    for place, clip in enumerate((source, edited)):
        np.testing.assert_array_equal(pixels(root.locator("canvas").nth(place)), clip[frame_of(root)])


def test_keys_move_and_the_trait_reaches_the_kernel_and_comes_back(book):
    root = book.root("frame-scrubber")
    slider = root.get_by_label("Frame", exact=True)
    keys = ["Home", "ArrowRight", "PageUp", "]", "]", "ArrowLeft", "PageDown", "[", "End"]
    for key, frame in zip(keys, (0, 1, 5, 16, 32, 31, 27, 16, 32), strict=True):
        slider.press(key)
        shows(root, drawn=frame)
    book.wait_for_kernel("print(widget.index)", "32")
    book.kernel("widget.index = 12")
    shows(root, drawn=12)
    assert slider.get_attribute("aria-valuetext") == "frame 12 of 32, latent slot 3, 0.75 s"


def test_scrubbing_sends_few_messages(book):
    """Thirty steps in a row reach the kernel as the first and the last, not as thirty messages."""
    book.kernel("widget.index = 0; seen.clear()")
    root = book.root("frame-scrubber")
    shows(root, drawn=0)
    slider = root.get_by_label("Frame", exact=True)
    slider.focus()
    book.page.evaluate(
        "(node) => { for (let i = 1; i <= 30; i += 1) { node.value = i; node.dispatchEvent(new Event('input')); } }",
        slider.element_handle(),
    )
    book.wait_for_kernel("print(widget.index)", "30")
    book.page.wait_for_timeout(400)  # in which further messages would arrive
    assert book.kernel("print(widget.index, len(seen))") == "30 2"


def test_two_views_a_link_and_a_jslink_agree(book):
    first, second, other = (book.root("frame-scrubber", i) for i in range(3))
    second.get_by_label("Frame", exact=True).press("Home")
    second.get_by_label("Frame", exact=True).press("PageUp")
    shows(first, drawn=4)
    shows(second, drawn=4)
    shows(other, drawn=4)
    assert book.page.locator(".widget-slider .widget-readout").inner_text() == "4"
    second.get_by_label("Frame", exact=True).press("End")
    shows(first, drawn=32)
    shows(other, drawn=8)  # the shorter clip stops at its last frame
    second.get_by_role("button", name="Difference").click()
    assert first.locator(".fe-stage").get_attribute("data-mode") == "difference"
    second.get_by_role("button", name="Side by side").click()


def test_play_begins_anew_at_the_end_and_space_stops_it(book):
    root = book.root("frame-scrubber")
    book.kernel("widget.index = 30")
    shows(root, drawn=30)
    slider = root.get_by_label("Frame", exact=True)
    slider.press("Space")
    root.get_by_role("button", name="Pause").wait_for()
    frames = seen_until(lambda: frame_of(root), book.page, lambda frames: min(frames, default=30) < 30)
    slider.press("Space")
    root.get_by_role("button", name="Play").wait_for()
    assert min(frames) < 30
    stopped = frame_of(root)
    assert stopped < 30
    book.page.wait_for_timeout(250)
    assert frame_of(root) == stopped


def test_still_scrubs_after_the_kernel_is_gone(book):
    book.shut_down_kernel()
    first, second = book.root("frame-scrubber"), book.root("frame-scrubber", 1)
    first.get_by_label("Frame", exact=True).press("Home")
    first.get_by_label("Frame", exact=True).press("ArrowRight")
    shows(first, drawn=1)
    shows(second, drawn=1)
    source, _ = demo_clip(33, 48, 64)
    np.testing.assert_array_equal(pixels(first.locator("canvas").first), source[1])
    assert book.page.locator(".widget-slider .widget-readout").inner_text() == "1"  # jslink lives in the page


def comparison(root) -> np.ndarray:
    return pixels(root.locator(".fe-both canvas")).astype(int)


def test_modes_draw_what_they_say(drawn):
    source, edited = demo_clip(9, 48, 64)
    root = drawn(FrameScrubber({"a": source, "b": edited}, index=4))
    root.get_by_role("button", name="Difference").click()
    expected = np.minimum(4 * np.abs(source[4].astype(int) - edited[4]), 255)
    np.testing.assert_array_equal(comparison(root), expected)
    root.get_by_role("button", name="Wipe").click()
    root.get_by_label("Wipe position").press("Home")
    np.testing.assert_array_equal(comparison(root), edited[4])
    root.get_by_label("Wipe position").press("End")
    np.testing.assert_array_equal(comparison(root), source[4])
    for _ in range(5):
        root.get_by_label("Wipe position").press("PageDown")
    np.testing.assert_array_equal(comparison(root)[:, :31], source[4][:, :31])
    np.testing.assert_array_equal(comparison(root)[:, 33:], edited[4][:, 33:])


def test_a_large_clip_shows_what_its_lossy_sheet_holds(drawn):
    noise = np.random.default_rng(0).integers(0, 256, (40, 120, 160, 3), dtype=np.uint8)
    widget = FrameScrubber({"a": noise}, index=33)
    root = drawn(widget)
    held = decode_frame(widget.clips[0], 33)
    assert widget.clips[0]["bytes"] < 330_000
    np.testing.assert_allclose(pixels(root.locator("canvas").first).astype(int), held.astype(int), atol=2)
    width, height = widget.clips[0]["cell"]
    assert width < 160
    assert re.search(f"160 . 120, shown at {width} . {height}", root.inner_text())


def test_what_is_saved_are_the_frames_with_their_caption(drawn, tmp_path):
    """Catches a GIF with frames out of order, false colours or another speed, and a picture without its words."""
    source, edited = demo_clip(9, 48, 64)
    root = drawn(FrameScrubber({"a": source, "b": edited}, index=4, fps=25, heading="A clip", note="computed"))
    saved = {}
    for kind in ("PNG", "GIF"):
        with root.page.expect_download() as waiting:
            root.get_by_role("button", name=kind).click()
        assert waiting.value.suggested_filename == f"A_clip_computed.{kind.lower()}"
        waiting.value.save_as(tmp_path / kind)
        saved[kind] = Image.open(tmp_path / kind)
    scale = 4  # of a clip 64 pixels wide

    def shown(picture):
        whole = np.asarray(picture.convert("RGB")).astype(int)
        boxes = (whole[8 : 8 + 48 * scale, left : left + 64 * scale] for left in (8, 16 + 64 * scale))
        assert whole[-20:].min() < 90  # the caption below, dark on white
        return [box.reshape(48, scale, 64, scale, 3).mean(axis=(1, 3)) for box in boxes]

    for got, clip in zip(shown(saved["PNG"]), (source, edited), strict=True):
        np.testing.assert_array_equal(got, clip[4])
    gif, durations = saved["GIF"], []
    assert (gif.n_frames, gif.info["loop"], gif.info["comment"].decode()) == (9, 0, "A clip · computed")
    for index in range(9):
        gif.seek(index)
        durations.append(gif.info["duration"])
        for got, clip in zip(shown(gif), (source, edited), strict=True):
            assert np.abs(got - clip[index]).mean() < 6
    assert sum(durations) == 360  # ms of 9 frames at 25 a second
    assert frame_of(root) == 4
