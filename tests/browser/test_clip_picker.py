"""ClipPicker in a notebook: upload, pick, take frames out, bring them back, without a line of code."""

import contextlib
import io
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from flowedit.media.clip import read_video, write_video
from notebooks.publish.build import read_source
from notebooks.publish.catalog import CATALOG

from .conftest import axe_findings, nothing_left, poor_contrast
from .examples import scene

PICKER = ".fe-picker"
CELL = "from flowedit.widgets import ClipPicker\npicker = ClipPicker(area=48 * 80)\npicker"


STANDS_IN = """
from types import SimpleNamespace
from flowedit.widgets import *
from tests.browser.examples import run_trace
picker = ClipPicker({video!r}, area=48 * 80)
picker.paint(0, picker._frames[0])
def edit_video(frames, keyframes, model, settings):
    return SimpleNamespace(source=frames, frames=frames, keyframes=keyframes, settings=settings, trace=run_trace())
material = SimpleNamespace(what_ran=str)
preset_settings = lambda *words: SimpleNamespace(with_=lambda **changes: "")
result, model, settings = None, None, preset_settings()
"""
"""What a lesson has by its last cells, without a model."""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "scene.mp4"
    write_video(path, scene(40, 96, 160), Fraction(24), lossless=True)
    return path


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook(CELL)
    notebook.page.wait_for_selector(".widget-upload")
    return notebook


def choose(book, button, path):
    with book.page.expect_file_chooser() as waiting:
        book.page.get_by_role("button", name=button).click()
    waiting.value.set_files(str(path))


def verdict(book) -> str:
    return book.page.locator(".jp-OutputArea-output p[role=status]").inner_text()


def wait_for_verdict(book, text):
    book.page.locator(".jp-OutputArea-output p[role=status]", has_text=text).wait_for()


def test_the_whole_way_in_the_page(book, video, tmp_path):
    page = book.page
    assert "No clip yet" in verdict(book)
    assert not page.locator(".fe-slot-map").is_visible()
    choose(book, "Upload a clip", video)
    wait_for_verdict(book, "No keyframe yet")
    slots = page.locator(".fe-slot-map")
    slots.locator("[data-frame='14']").click()
    slots.locator("[data-frame='16']").click()
    wait_for_verdict(book, "Keyframes 14 and 16 lie in one latent slot")
    slots.locator("[data-frame='14']").click()
    wait_for_verdict(book, "No image yet for frame 16.")
    page.get_by_role("button", name="Make a zip").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Save keyframes.zip (160x96)").click()
    archive = zipfile.ZipFile(waiting.value.path())
    assert archive.namelist() == ["keyframe_0016.png"]
    picture = np.asarray(Image.open(io.BytesIO(archive.read("keyframe_0016.png"))))
    np.testing.assert_array_equal(picture, read_video(video, start=16, num_frames=1).frames[0])
    painted = tmp_path / "keyframe_0016.png"
    Image.fromarray(255 - picture).save(painted)
    choose(book, "Bring painted frames back", painted)
    wait_for_verdict(book, "Ready")
    said = book.kernel(
        "value = picker.value\n"
        "print(value.frames.shape, value.fps, [k.index for k in value.keyframes], value.keyframes[0].image.shape)"
    )
    assert said == "(33, 48, 80, 3) 24 [16] (48, 80, 3)"
    inverted = book.kernel("print(abs(value.keyframes[0].image.astype(int) + value.frames[16] - 255).max())")
    assert int(inverted) <= 1
    book.check_quiet()


def test_a_refusal_stands_beside_the_controls(book, tmp_path):
    wrong = tmp_path / "square_16.png"
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(wrong)
    choose(book, "Bring painted frames back", wrong)
    wait_for_verdict(book, "square_16.png is 90x90; it must have the shape of the source, 160x96")


def test_it_reads_well_in_both_themes(book):
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        book.set_theme(theme)
        assert nothing_left(lambda: axe_findings(book, PICKER)) == [], theme
        assert nothing_left(lambda: poor_contrast(book.page.locator(PICKER))) == [], theme


def test_keys_stay_in_every_control(book):
    """The picker's own buttons and sliders are plain ipywidgets: JupyterLab would take their keys for commands."""
    controls = book.page.locator(
        f"{PICKER} :is(button, input:not([type=file]), [tabindex='0']):not([disabled]):visible"
    )
    names = [controls.nth(i).evaluate("(node) => node.innerText || node.className") for i in range(controls.count())]
    assert any("Upload a clip" in name for name in names)
    assert any("noUi-handle" in name for name in names)
    for control in controls.all():
        with contextlib.suppress(PlaywrightTimeout), book.page.expect_file_chooser(timeout=1):
            book.check_keys_stay(control)
    book.check_quiet()


def test_it_fits_a_narrow_screen(book):
    page = book.page
    box = page.locator(PICKER)
    box.evaluate("(node) => { node.style.width = '320px'; node.style.maxWidth = '320px'; }")
    page.wait_for_timeout(300)
    wide = box.evaluate(
        """(node) => [...node.querySelectorAll("*")].filter((one) => one.checkVisibility() && one.clientWidth
            && one.getBoundingClientRect().right > node.getBoundingClientRect().right + 1
            && !one.closest(".fe-hidden, .fe-scroll")).map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert wide == []
    assert box.evaluate("(node) => node.scrollWidth") <= 320
    box.evaluate("(node) => node.removeAttribute('style')")


@pytest.mark.parametrize("lesson", [CATALOG[0], CATALOG[5]], ids=["00", "05"])
def test_a_lesson_plays_a_readers_clip_at_its_own_speed(open_notebook, video, lesson):
    """Catches a clip of 24 frames a second that is said, and played, at 16."""
    last = next(cell for cell in read_source(lesson).cells if "if picker.ready" in cell.source)
    book = open_notebook(STANDS_IN.format(video=str(video)), last.source)
    book.page.get_by_text("24 frames per second").wait_for()
    book.close()
