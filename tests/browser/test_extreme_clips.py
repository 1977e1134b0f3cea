"""Extremes of the clips themselves, for every widget that shows one: portrait, a single frame, 2000 frames."""

import numpy as np
import pytest

from flowedit.trace import Trace
from flowedit.widgets import AlphaExplorer, CompareGrid, FrameScrubber, KeyframeGallery, RunPanel, SlotMap

from .conftest import frame_pixels, until

EMPTY = Trace(keyframes=(), slots=())
SHAPES = [(1, 16, 16), (1, 48, 16), (5, 64, 32)]


def done(clip):
    panel = RunPanel(lambda: iter([1]), total=1, finish=lambda _: clip)
    panel.run()
    return panel


SHOWS = {
    "FrameScrubber": lambda clip: FrameScrubber({"only": clip}),
    "AlphaExplorer": lambda clip: AlphaExplorer([(1.0, clip, EMPTY, {})], source=clip),
    "CompareGrid": lambda clip: CompareGrid([("only", clip, {})]),
    "SlotMap": lambda clip: SlotMap(frames=clip, index=0),
}


def patchwork(shape):
    """Frames in which no row, column or frame equals another."""
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SHOWS)
def test_a_portrait_and_a_single_frame_are_drawn_as_they_are(open_page, name, shape):
    """Catches sides exchanged, and what divides by the number of frames less one."""
    clip = patchwork(shape)
    watched = open_page(SHOWS[name](clip).to_html())
    watched.page.wait_for_selector(".fe-root[data-drawn]")
    canvases = watched.page.locator("canvas:visible")
    assert canvases.count() > 0
    for place in range(canvases.count()):
        np.testing.assert_array_equal(frame_pixels(canvases.nth(place), *shape[1:]), clip[0])
        box = canvases.nth(place).bounding_box()
        assert box["height"] / box["width"] == pytest.approx(shape[1] / shape[2], rel=0.02)
    watched.check_quiet()


def test_a_portrait_keyframe_keeps_its_shape(open_page):
    picture = patchwork((1, 48, 16))[0]
    watched = open_page(KeyframeGallery([(picture, picture, 0, {})]).to_html())
    images = watched.page.locator(".fe-root img")
    until(watched.page, "() => [...document.querySelectorAll('.fe-root img')].every((image) => image.naturalWidth)")
    for place in range(images.count()):
        box = images.nth(place).bounding_box()
        assert box["height"] / box["width"] == pytest.approx(3, rel=0.02)
    watched.check_quiet()


def test_a_run_with_a_long_result_is_done_and_shows_some_of_it():
    """Catches a finished run called failed, or lost, because its picture is too large for a page."""
    clip = np.zeros((2000, 16, 16, 3), np.uint8)
    panel = done(clip)
    assert panel.job["state"] == "done"
    assert panel.result is clip
    assert panel.picture.startswith("data:image/webp")
