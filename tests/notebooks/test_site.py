"""The static site: formulas, pictures and live widgets from disk, no request, readable on a phone."""

import re
import shutil

import nbformat
import pytest

from notebooks.publish import build, site
from notebooks.publish.run import execute
from tests.notebooks.lessons_on_disk import FOLDER, LESSONS

SITE_BYTES = 25_000_000
WIDTH = 390
KEYS = {"button": ("Enter",), "submit": ("Enter",), "checkbox": ("Space",)}
"""What a reader presses on a control of each type; arrows on all others."""


def test_formulas_become_mathml_and_survive_markdown():
    """Catches a formula whose underscores became emphasis, and one left as source text."""
    text = site.markdown("The gap $x_{main} - x_{key}$ and\n\n$$r = \\frac{a_1}{b_2}$$\n\nin `code` and *words*.")
    assert text.count("<math") == 2
    assert "<mfrac>" in text
    assert "<em>words</em>" in text
    assert "$" not in text


def test_badges_become_plain_links_and_lessons_link_to_pages():
    """Catches pictures from the network, and links that leave the site for another lesson."""
    text = site.markdown("[![Open in Colab](https://x.test/y.svg)](https://z.test) [01](01_math_verification.ipynb)")
    assert "<img" not in text
    assert 'href="https://z.test"' in text
    assert 'href="01_math_verification.html"' in text


def test_a_form_says_that_it_needs_a_kernel():
    """Catches a page that shows part of a form and leaves its reader looking for the rest."""
    box = {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_title", "IPY_MODEL_file"]}}
    plain = {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_title"]}}
    models = {
        "form": box,
        "plain": plain,
        "title": {"model_name": "HTMLModel"},
        "file": {"model_name": "FileUploadModel"},
    }
    page = site.Page(LESSONS[0], {}, models, [])
    assert site._drives_kernel("form", page)
    assert not site._drives_kernel("plain", page)


def test_lines_that_a_kernel_sent_in_pieces_stand_in_one_block():
    """Catches a loop's printed lines torn into one block each."""
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=f"step {i}\n") for i in range(3)]
    shown = nbformat.v4.new_output("display_data", data={"text/plain": "figure"})
    cell = nbformat.v4.new_code_cell("run()", outputs=[*pieces, shown, pieces[0]])
    made = site._cell(cell, site.Page(LESSONS[0], {}, {}, []), iter(()))
    assert made.count('<pre class="out">') == 3
    assert '<pre class="out">step 0\nstep 1\nstep 2\n</pre>' in made


STATE = """(root) => root.innerHTML + [...root.querySelectorAll("input, select, textarea")].map((n) => n.value).join()
    + [...root.querySelectorAll("canvas")].map((n) => n.toDataURL()).join()"""
"""All that a reader sees of a widget: its elements, the values of its controls, and its pixels."""
CONTROLS = "input[type=range], select, button, [role=slider], input[type=number], input[type=checkbox]"


@pytest.fixture(scope="module")
def phone():
    """Pages of a browser as wide as a phone."""
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_context(viewport={"width": WIDTH, "height": 844})
        browser.close()


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


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)
def test_every_lesson_lives_from_disk_on_a_phone(lesson, phone, tmp_path):
    """Catches a request, a message on the console, a dead widget, a picture without words, a page too wide."""
    notebook = nbformat.read(build.student_path(FOLDER, lesson), as_version=4)
    execute(notebook, FOLDER)
    file = site.write_lesson(notebook, FOLDER, lesson, tmp_path)
    assert file.stat().st_size <= SITE_BYTES / len(LESSONS)
    page = phone.new_page()
    requests, messages = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-fe-ready]", state="attached")
    text = file.read_text(encoding="utf-8")
    roots = page.locator(".fe-root").all()
    assert len(roots) == text.count('<section id="fe-widget-') >= 1
    assert page.locator("section[id^=fe-widget-]").count() == 0
    assert page.get_by_text("This widget could not be drawn").count() == 0
    dead = [root.get_attribute("class") for root in roots if not answers_a_gesture(root)]
    assert dead == []
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    assert page.evaluate("[...document.images].filter((i) => !i.alt || !i.naturalWidth).map((i) => i.outerHTML)") == []
    assert page.locator("h1").count() == 1
    assert page.locator("math").count() == text.count("<math")
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert messages == []
    page.close()


def test_the_index_shows_each_lesson_with_its_picture_in_words(phone, tmp_path):
    """Catches a picture that says nothing to who cannot see it, a dead link, and an index wider than a phone."""
    for lesson in LESSONS:
        (tmp_path / f"{lesson.stem}.html").touch()
    *_, index = site.write_frame(FOLDER, tmp_path)
    page = phone.new_page()
    page.goto(index.as_uri())
    cards = page.locator(".card").all()
    assert [card.locator("a").inner_text() for card in cards] == [f"{one.number} · {one.title}" for one in LESSONS]
    for card, lesson in zip(cards, LESSONS, strict=True):
        words = kept_words(lesson)
        assert words
        assert card.locator("img").get_attribute("alt") in words
        card.scroll_into_view_if_needed()
        assert (
            card.locator("img").evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 99
        )
        assert (tmp_path / card.locator("a").get_attribute("href")).is_file()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    cards[1].click(position={"x": 20, "y": 40})
    assert page.url.endswith(f"{LESSONS[1].stem}.html")
    page.close()


def kept_words(lesson):
    """What the pictures that a notebook keeps show, in its own words."""
    cells = nbformat.read(build.student_path(FOLDER, lesson), as_version=4).cells
    kept = [about for cell in cells for out in cell.get("outputs", []) for about in out.get("metadata", {}).values()]
    return [about["alt"] for about in kept if len(about.get("alt", "").split()) >= 5]


@pytest.mark.slow
def test_the_site_is_whole(tmp_path):
    """Catches a lesson left out, and a link to a page that is not there."""
    only = tmp_path / "notebooks"
    (only / "_src").mkdir(parents=True)
    for lesson in LESSONS[1:3]:
        shutil.copy(build.student_path(FOLDER, lesson), only)
        shutil.copy(FOLDER / "_src" / f"{lesson.stem}.py", only / "_src")
    shutil.copy(FOLDER / "notation.md", only)
    written = list(site.write_site(only, tmp_path / "site"))
    assert [path.name for path in written][-2:] == ["notation.html", "index.html"]
    index = written[-1].read_text(encoding="utf-8")
    assert all(f'href="{lesson.stem}.html"' in index for lesson in LESSONS[1:3])
    links = set(re.findall(r'href="([\w.]+)"', "".join(path.read_text(encoding="utf-8") for path in written)))
    missing = {f"{lesson.stem}.html" for lesson in LESSONS} - {path.name for path in written}
    assert links - {path.name for path in written} <= missing
