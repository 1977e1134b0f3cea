"""EnvCard: a light that tells the truth, and what shows without a kernel."""

import re

import pytest

from flowedit.widgets import EnvCard

from .conftest import shows


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook("from flowedit.widgets import EnvCard\nwidget = EnvCard()\nwidget", "widget")
    notebook.page.wait_for_function("document.querySelectorAll('.fe-env-card[data-kernel=ok]').length === 2")
    return notebook


def test_the_light_goes_on_in_a_notebook(book):
    """Catches a handshake that only the page believes in: the kernel holds the number the page chose."""
    assert book.kernel("print(widget.ask == widget.answer > 0)") == "True"
    assert book.root("env-card").locator(".fe-part dd").nth(1).inner_text().startswith("this computer, ")


def test_a_missing_package_is_said_with_its_cure(book):
    book.kernel(
        "from flowedit.widgets import _probe\nreal = _probe.version_of\n"
        "_probe.version_of = lambda name: '' if name == 'numpy' else real(name)"
    )
    root = book.root("env-card")
    root.get_by_role("button", name="Test again").click()
    book.page.wait_for_selector(".fe-verdictline[data-state=warn]")
    assert "numpy: pip install numpy" in root.locator(".fe-verdictline").inner_text()
    book.kernel("_probe.version_of = real; widget.refresh()")
    book.page.wait_for_selector(".fe-verdictline[data-state=ok]")


def test_a_busy_kernel_is_not_said_to_work_nor_to_be_gone(open_notebook):
    """Catches "Everything works." beside a kernel that has not answered yet, after Run All with long cells below."""
    cells = "from flowedit.widgets import EnvCard\nEnvCard()", "import time\ntime.sleep(7)"
    busy = open_notebook(*cells, wait=False)
    busy.page.wait_for_selector(".fe-env-card[data-kernel=busy]")
    words = busy.root("env-card").locator(".fe-verdictline").inner_text()
    assert "has not answered yet" in words
    assert not re.search(r"works|saved|\d", words)
    busy.page.wait_for_selector(".fe-env-card[data-kernel=ok]")
    assert busy.root("env-card").locator(".fe-verdictline").inner_text() == "Everything works."
    busy.close()


def test_changes_that_do_not_come_back_and_a_dead_kernel_turn_the_light_off(book):
    """Catches a light that goes on without waiting for the kernel's copy."""
    book.kernel("widget.unobserve_all('ask')")
    again = book.root("env-card").get_by_role("button", name="Test again")
    again.click()
    shows(book.root("env-card"), kernel="busy")
    book.shut_down_kernel()
    again.click()
    shows(book.root("env-card"), kernel="wait")
    shows(book.root("env-card"), kernel="busy")


def test_an_exported_card_says_that_it_is_a_record(drawn):
    root = drawn(EnvCard())
    assert root.get_attribute("data-kernel") == "off"
    assert "when this was saved" in root.inner_text()
