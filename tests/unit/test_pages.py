"""Figures in the documentation come from the records, and no page grows beyond a reader's patience."""

import re

import pytest

from benchmarks.pages import FIELD, PAGES, figures, fill
from flowedit.errors import OutputError

LONGEST = 15 * 1024
_QUANTITY = re.compile(
    r"(?<![\w.\-/])[-+]?\d+(?:[.,]\d+)?(?: |\N{NO-BREAK SPACE})?(?:dB|ms|s|MB|GB|kB|minutes?|%)(?!\w)"
)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
TYPED = {
    "README.md": {"95 %"},
    "bernini.md": {"12 GB", "24 GB", "64 GB", "80 GB"},
    "clips.md": {"1 %", "30 %"},
    "loras.md": {"15 %"},
    "performance.md": {"8 GB"},
    "quality.md": {"95 %"},
    "teaching.md": {"25 minutes", "2 GB", "50 minutes", "90 minutes"},
    "widgets.md": {"1 MB"},
}
"""Quantities that are no measurements: limits, lengths of lessons, levels of intervals."""
HISTORY = {"training.md"}
"""Pages of what was done once, by runs whose logs were not kept: no command can make their figures again."""


def typed_figures(text):
    """Quantities with a unit that a page states in its own words: neither filled in nor code."""
    return _QUANTITY.findall(_CODE.sub("", FIELD.sub("", text)))


@pytest.fixture(scope="module")
def known():
    return figures()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_the_records_say(page, known):  # catches: new records without `python -m benchmarks pages`
    text = page.read_text(encoding="utf-8")
    assert fill(text, known) == text


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in HISTORY], ids=lambda page: page.name)
def test_no_measurement_is_typed_by_hand(page):  # catches: a number that nothing prints
    assert set(typed_figures(page.read_text(encoding="utf-8"))) <= TYPED.get(page.name, set())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_can_be_read_in_one_go(page):  # catches: a page of 94 kB
    assert page.stat().st_size <= LONGEST


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_picture_leads_somewhere(page):  # catches: a file that moved, a heading that was renamed
    for target in re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("", page.read_text(encoding="utf-8"))):
        file, _, anchor = target.partition("#")
        found = page.parent / file if file else page
        assert target.startswith("http") or found.exists(), target
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.*)", found.read_text(encoding="utf-8"), flags=re.M)
            assert anchor in [re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings], target


def test_a_figure_is_filled_in_and_what_is_typed_is_found():
    """Catches a value left as it was, a table glued to its comments, and a unit that is overlooked."""
    page = "It takes <!--= took -->9.99<!--/--> s, <!--= table --><!--/--> of `3 s` and +4.2 dB."
    filled = fill(page, {"took": "1.50", "table": "| a |\n| --- |"})
    assert "<!--= took -->1.50<!--/--> s" in filled
    assert "-->\n\n| a |\n| --- |\n\n<!--/-->" in filled
    assert fill(filled, {"took": "1.50", "table": "| a |\n| --- |"}) == filled
    assert typed_figures(filled) == ["+4.2 dB"]


def test_a_name_that_no_record_has_is_an_error():  # catches: an empty figure where a row was renamed
    with pytest.raises(OutputError, match="gone cannot be computed"):
        fill("<!--= gone --><!--/-->", {})
