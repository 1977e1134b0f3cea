"""Extremes of the clips themselves, for every widget that shows one: portrait, a single frame, 2000 frames."""

import numpy as np
import pytest

from flowedit.trace import Trace
from flowedit.widgets import AlphaExplorer, CompareGrid, FrameScrubber, KeyframeGallery, RunPanel, SlotMap

from .conftest import pixels, until

EMPTY = Trace(keyframes=(), slots=())
SHAPES = [(1, 16, 16), (1, 48, 16), (5, 64, 32)]


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
def test_a_portrait_and_a_single_frame_are_drawn_as_they_are(drawn, name, shape):
    """Catches sides exchanged, and what divides by the number of frames less one."""
    clip = patchwork(shape)
    root = drawn(SHOWS[name](clip))
    until(root.page, "() => document.querySelector('.fe-root[data-drawn]') !== null")
    canvases = root.locator("canvas:visible").all()
    assert canvases
    for canvas in canvases:
        np.testing.assert_array_equal(pixels(canvas), clip[0])
    check_shape(canvases, shape[1] / shape[2])


def check_shape(pictures, ratio):
    for box in (picture.bounding_box() for picture in pictures):
        assert box["height"] / box["width"] == pytest.approx(ratio, rel=0.02)


def test_a_portrait_keyframe_keeps_its_shape(drawn):
    picture = patchwork((1, 48, 16))[0]
    root = drawn(KeyframeGallery([(picture, picture, 0, {})]))
    until(root.page, "() => [...document.querySelectorAll('.fe-root img')].every((image) => image.naturalWidth)")
    check_shape(root.locator("img").all(), 3)


def test_a_run_with_a_long_result_is_done_and_shows_some_of_it():
    """Catches a finished run called failed, or lost, because its picture is too large for a page."""
    clip = np.zeros((2000, 16, 16, 3), np.uint8)
    panel = RunPanel(lambda: (step for step in [1]), total=1, finish=lambda _: clip)
    panel.run()
    assert panel.job["state"] == "done"
    assert panel.result is clip
    assert panel.picture.startswith("data:image/webp")
