"""The static site: formulas, pictures and live widgets from disk, no request, readable on a phone."""

import shutil

import nbformat
import pytest

from flowedit.lessons import build, site
from flowedit.lessons.run import execute
from tests.notebooks.lessons_on_disk import FOLDER, LESSONS, source_of

SITE_BYTES = 25_000_000


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


@pytest.mark.slow
@pytest.mark.browser
def test_a_lesson_from_disk_lives_without_network(tmp_path):
    """Catches a request, a script error, a widget that stays a picture, and a page wider than a phone."""
    playwright = pytest.importorskip("playwright.sync_api")
    lesson = next(entry for entry in LESSONS if entry.number == "01")
    notebook = nbformat.read(build.student_path(FOLDER, lesson), as_version=4)
    execute(notebook, FOLDER)
    page_file = tmp_path / "lesson.html"
    page_file.write_text(site.lesson_page(notebook, source_of(lesson), lesson), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        requests, errors = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(page_file.as_uri())
        page.wait_for_function("document.documentElement.dataset.feReady === 'true'")
        slider = page.locator("input[type=range]").first
        before = slider.input_value()
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert slider.input_value() != before
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("document.querySelectorAll('math').length") > 10
        assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth)")
        browser.close()
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []


@pytest.mark.slow
def test_the_site_is_small_and_whole(tmp_path):
    """Catches a lesson left out, a link to a page that is not there, and a site too large to publish."""
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
    assert sum(path.stat().st_size for path in written) * len(LESSONS) / 2 < SITE_BYTES
