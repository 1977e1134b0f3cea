"""EnvCard: a light that tells the truth, a report that can be copied, and what shows without a kernel."""

import pytest

from flowedit.widgets import EnvCard


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook("from flowedit.widgets import EnvCard\nwidget = EnvCard()\nwidget", "widget")
    notebook.page.wait_for_function("document.querySelectorAll('.fe-env-card[data-kernel=ok]').length === 2")
    return notebook


def kernel_is(book, state):
    book.page.wait_for_function(f"document.querySelector('.fe-env-card').dataset.kernel === '{state}'")


def test_the_light_goes_on_in_a_notebook(book):
    """Catches a handshake that only the page believes in: the kernel holds the number the page chose."""
    assert book.kernel("print(widget.ask == widget.answer > 0)") == "True"
    assert book.root("env-card").locator(".fe-part dd").nth(1).inner_text().startswith("Jupyter on ")


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


def test_the_report_can_be_copied_or_selected(book):
    book.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    root = book.root("env-card")
    root.get_by_role("button", name="Copy report").click()
    shown = root.get_by_label("Report, select all and copy")
    shown.wait_for()
    text = shown.input_value()
    assert "Kernel: answers" in text
    for line in book.kernel("for row in widget.rows: print(row['name'], row['value'], sep=': ')").splitlines():
        assert line in text
    assert book.page.evaluate("navigator.clipboard.readText()") == text
    assert book.page.evaluate("getSelection().toString()") == text
    book.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); }")
    root.get_by_role("button", name="Copy report").click()  # a page that may not write to the clipboard is no error


def test_changes_that_do_not_come_back_and_a_dead_kernel_turn_the_light_off(book):
    """Catches a light that goes on without waiting for the kernel's copy."""
    book.kernel("widget.unobserve_all('ask')")
    again = book.root("env-card").get_by_role("button", name="Test again")
    again.click()
    kernel_is(book, "off")
    book.shut_down_kernel()
    again.click()
    kernel_is(book, "wait")
    kernel_is(book, "off")
    book.check_quiet()


def test_an_exported_card_says_that_it_is_a_record(open_page):
    watched = open_page(EnvCard().to_html())
    root = watched.root("env-card")
    assert root.get_attribute("data-kernel") == "off"
    assert "when this was saved" in root.inner_text()
    watched.check_quiet()
