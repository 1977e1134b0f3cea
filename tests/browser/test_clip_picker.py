"""ClipPicker in a notebook: upload, pick, take frames out, bring them back, without a line of code."""

import base64
import contextlib
import io
import time
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from flowedit.media.clip import read_video, resize_video, write_video
from flowedit.media.clips import shipped_clip
from notebooks.publish.build import read_source
from notebooks.publish.catalog import CATALOG

from .conftest import axe_findings, nothing_left, poor_contrast, until
from .examples import scene

PICKER = ".fe-picker"
CELL = "from flowedit.widgets import ClipPicker\npicker = ClipPicker(area=48 * 80)\npicker"


REAL = """
from flowedit.lessons import material
from flowedit.presets import preset_settings
from flowedit.widgets import ClipPicker
settings = preset_settings("tiny", "method", steps=8)
picker = ClipPicker({video!r}, area=64 * 96, looks=material.painters(), panel=material.panel(settings))
picker"""
"""As lessons 00 and 05 have it, at a size whose steps are short, and fewer of them."""


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


PICK_AND_PRESS = """async (key) => {
    const list = document.querySelector(".fe-picker [role=listbox]");
    if (key) list.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    else list.querySelector("[data-frame='8']").click();
    // Quicker than a hand; within a few ms JupyterLab keeps no order between two widgets.
    await new Promise((resolve) => setTimeout(resolve, 100));
    document.querySelector(".fe-picker button[title^='Make a zip']").click();
}"""


@pytest.mark.parametrize(("key", "picked"), [("Enter", [0, 16]), ("", [0, 8, 16])], ids=["key", "pointer"])
def test_a_button_knows_the_pick_before_it(book, key, picked):
    """Catches a pick that waits to be sent: a button pressed right after it, by a key even, did not know of it."""
    page = book.page
    link = page.get_by_role("link", name="Save keyframes")
    page.locator(".fe-slot-map").get_by_role("listbox").press("Home")
    book.wait_for_kernel("print(picker.map.index)", "0")
    before = link.get_attribute("href")
    page.evaluate(PICK_AND_PRESS, key)
    until(page, "(old) => document.querySelector('a[download]').href !== old", before, seconds=20)
    zipped = base64.b64decode(link.get_attribute("href").split(",")[1])
    names = zipfile.ZipFile(io.BytesIO(zipped)).namelist()
    assert names == [f"keyframe_{frame:04d}.png" for frame in picked]


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


def test_from_a_real_clip_through_a_look_to_an_edit(open_notebook, tmp_path):
    """Catches a rate that is lost, a cut that is not named, a *paint* that overtakes a pick, a cancel that is slow."""
    coffee, mountain = (read_video(shipped_clip(name), num_frames=33).frames for name in ("coffee", "mountain"))
    joined = np.concatenate([coffee[:30], resize_video(mountain[:10], coffee.shape[1:3])])
    write_video(tmp_path / "joined.mp4", joined, Fraction(25))
    book = open_notebook(REAL.format(video=str(tmp_path / "joined.mp4")))
    page = book.page
    facts = page.get_by_text("joined.mp4: 40 frames")
    assert "at 25 fps" in facts.inner_text()
    assert "a new shot begins at frame 30" in facts.inner_text()
    page.get_by_label("Paint as").select_option("comic")
    page.locator(".fe-slot-map [data-frame='0']").click()
    wait_for_verdict(book, "No image yet for frame 0.")
    page.locator(".fe-slot-map [data-frame='16']").click()
    page.get_by_role("button", name="Paint the picked frames").click()
    wait_for_verdict(book, "Ready")
    panel = page.locator(".fe-run-panel")
    panel.get_by_role("button", name="Start").click()
    panel.get_by_text("Step 0", exact=False).first.wait_for(state="attached")
    asked = time.monotonic()
    panel.get_by_role("button", name="Cancel").click()
    page.wait_for_selector(".fe-run-panel[data-job=cancelled]")
    assert time.monotonic() - asked < 3
    panel.get_by_role("button", name="Start").click()
    page.wait_for_selector(".fe-run-panel[data-job=done]")
    said = book.kernel(
        "mine = picker.panel.result; print(mine.frames.shape[0], len(mine.keyframes), float(picker.fps))"
    )
    assert said == "33 2 25.0"


@pytest.mark.parametrize("lesson", [CATALOG[0], CATALOG[5]], ids=["00", "05"])
def test_a_lesson_shows_what_the_picker_made(lesson):
    """Catches a reader's clip that is shown at another speed, and one whose edit never arrives."""
    last = [cell.source for cell in read_source(lesson).cells if "picker.panel.result" in cell.source]
    assert len(last) == 1
    assert "fps=picker.fps" in last[0]
