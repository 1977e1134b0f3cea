"""Lessons run: once each, offline, within their memory, with the stored values; and what was run lives as a page."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from notebooks.publish import build, site
from notebooks.publish.catalog import CATALOG
from notebooks.publish.run import execute, offline_environment, refused_connections
from tests.notebooks.lessons_on_disk import ROOT, code_of, every_lesson

LONGEST_SECONDS, ALL_SECONDS = 180, 1200
"""Budgets of one lesson and of all, by the clock, as measured when the notebooks were built."""
OWN = 2 / 3
"""Share of its memory that a lesson may take where it runs; the rest is for pages of libraries."""
CHECKED = "# NBVAL_CHECK_OUTPUT"
PAGE_BYTES, PHONE = 2_800_000, 390
KEYS = {"button": ("Enter",), "submit": ("Enter",), "checkbox": ("Space",)}
"""What a reader presses on a control of each type; arrows on all others."""
STATE = """(root) => root.innerHTML + [...root.querySelectorAll("input, select, textarea")].map((n) => n.value).join()
    + [...root.querySelectorAll("canvas")].map((n) => n.toDataURL()).join()"""
"""All that a reader sees of a widget: its elements, the values of its controls, and its pixels."""
CONTROLS = "input[type=range], select, button, [role=slider], input[type=number], input[type=checkbox]"


def text_of(cell):
    """All that a cell says, however many pieces the kernel sent it in."""
    return "".join(out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)


def same_values(run, stored):
    """Catches a value that changed since the notebook was run; `pytest --nbval-lax` compares the same cells."""
    for cell, before in zip(code_of(run), code_of(stored), strict=True):
        if cell.source.startswith(CHECKED):
            assert text_of(cell) == text_of(before), cell.source


@pytest.fixture(scope="module")
def phone():
    """Pages of a browser as wide as a phone."""
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        # Not closed in person: a browser that was asked to close once did not, for minutes; the driver's end ends it.
        yield browser.new_context(viewport={"width": PHONE, "height": 844})


def answers_a_gesture(root):
    """Whether a widget changes when the reader moves or presses one of its controls."""
    for control in root.locator(CONTROLS).all():
        if not (control.is_visible() and control.is_enabled()):
            continue
        before = root.evaluate(STATE)
        control.focus()
        for key in KEYS.get(control.evaluate("(n) => n.type ?? ''"), ("ArrowRight", "ArrowLeft")):
            control.press(key)
            root.page.wait_for_timeout(60)
            if root.evaluate(STATE) != before:
                return True
    return False


def lives_from_disk(file, phone):
    """Catches a request, a message on the console, a dead widget, a picture without words, a page too wide."""
    assert file.stat().st_size <= PAGE_BYTES
    page, requests, messages = phone.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-fe-ready]", state="attached")
    text, roots = file.read_text(encoding="utf-8"), page.locator(".fe-root").all()
    assert len(roots) == text.count('<section id="fe-widget-') >= 1
    assert page.locator("section[id^=fe-widget-]").count() == 0
    assert page.get_by_text("This widget could not be drawn").count() == 0
    dead = [root.get_attribute("class") for root in roots if not answers_a_gesture(root)]
    assert [names for names in dead if "fe-env-card" not in names] == []  # which has nothing to do without a kernel
    assert page.get_by_text("Test again").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    unnamed = (
        "[...document.images].filter((i) => i.getAttribute('alt') === null || !i.naturalWidth).map((i) => i.outerHTML)"
    )
    assert page.evaluate(unnamed) == []
    assert page.locator("h1").count() == 1
    assert page.locator("math").count() == text.count("<math")
    assert page.locator("details > .code").count() == 1 + text.count("<summary>A solution")
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert messages == []
    page.close()


@pytest.mark.slow
@every_lesson
def test_a_student_can_run_everything_and_its_page_lives_from_disk(lesson, phone, tmp_path):
    """Catches a cell that raises or needs a solved exercise, a reach for the network, a lesson too large for Binder.

    One run of a lesson is enough for all that is asked of it.
    """
    stored = nbformat.read(lesson.student, as_version=4)
    notebook = build.student(lesson, proofs=True)
    with refused_connections(tmp_path / "refused") as refused:
        taken = execute(notebook)
    assert refused == []
    assert 60 < taken.own_megabytes <= OWN * lesson.memory
    notebook.cells = [cell for cell in notebook.cells if build.part(cell) != "proof"]
    checks = [text_of(cell) for cell in code_of(notebook) if build.part(cell) == "check"]
    assert all(" open: " in text for text in checks), checks
    same_values(notebook, stored)
    lives_from_disk(site.write_lesson(notebook, lesson, tmp_path), phone)


def test_the_index_shows_each_lesson_with_its_picture_in_words(phone, tmp_path):
    """Catches a picture that says nothing to who cannot see it, a dead link, and an index wider than a phone."""
    for lesson in CATALOG:
        (tmp_path / f"{lesson.stem}.html").touch()
    written = list(site.write_frame(tmp_path))
    page = phone.new_page()
    page.goto(written[-1].as_uri())
    cards = page.locator(".card").all()
    assert [card.locator("a").inner_text() for card in cards] == [f"{one.number} · {one.title}" for one in CATALOG]
    for card in cards:
        assert len(card.locator("img").get_attribute("alt").split()) >= 5
        card.scroll_into_view_if_needed()
        picture = card.locator("img").element_handle()
        page.wait_for_function("(image) => image.complete && image.naturalWidth > 99", arg=picture, polling=100)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    links = set(re.findall(r'href="([\w.]+)"', "".join(path.read_text(encoding="utf-8") for path in written)))
    assert all((tmp_path / link).is_file() for link in links)
    page.get_by_label("Search the lessons").fill("flash encoding")
    assert "The flash" in page.locator("#found li").first.inner_text()
    page.get_by_label("Search the lessons").fill("")
    cards[1].click(position={"x": 20, "y": 40})
    assert page.url.endswith(f"{CATALOG[1].stem}.html")
    page.close()


@pytest.mark.slow
def test_nbval_agrees_with_a_lesson():
    """Catches a notebook that the tool named in its environment cannot run, and marks that it does not read."""
    options = ["--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-q"]
    command = [sys.executable, "-m", "pytest", *options, str(CATALOG[1].student)]
    environment = {**offline_environment(), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_measured_lessons_are_within_their_budget():
    measured = build.read_measured()
    assert set(measured) == {lesson.number for lesson in CATALOG}
    assert all(measured[lesson.number]["peak_megabytes"] <= lesson.memory for lesson in CATALOG)
    seconds = [taken["seconds"] for taken in measured.values()]
    assert max(seconds) <= LONGEST_SECONDS
    assert sum(seconds) <= ALL_SECONDS


def run_cell(text, folder):
    cell = nbformat.v4.new_code_cell(text, metadata={"tags": ["code"]})
    return cell, execute(nbformat.v4.new_notebook(cells=[cell]), folder)


HOLD = "held = b'x' * 350_000_000"


@pytest.mark.parametrize("code", [HOLD, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {HOLD!r}])"])
def test_what_a_lesson_holds_or_starts_counts_as_its_own(tmp_path, code):
    """Catches memory that a lesson hides in another process, and memory taken for pages of files."""
    _, taken = run_cell(code, tmp_path)
    assert 330 < taken.own_megabytes <= taken.peak_megabytes < 500


def test_a_lesson_that_reaches_for_the_network_is_noticed(tmp_path):
    """Catches a guard that guards nothing."""
    reach = "import socket\ntry: socket.create_connection(('192.0.2.1', 80), timeout=2)\nexcept OSError as e: print(e)"
    with refused_connections(tmp_path / "refused") as refused:
        cell, _ = run_cell(reach, tmp_path)
    assert "lessons run without network" in cell.outputs[0].text
    assert refused == ["192.0.2.1"]


def test_the_kernel_uses_this_package_and_no_keys(monkeypatch):
    """Catches lessons that run against another installed version, and a key within a student's reach."""
    monkeypatch.setenv("SOME_API_KEY", "secret")
    environment = offline_environment()
    assert environment["PYTHONPATH"].split(os.pathsep)[1] == str(ROOT)
    assert "SOME_API_KEY" not in environment
