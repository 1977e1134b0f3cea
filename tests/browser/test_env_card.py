"""EnvCard: lights that tell the truth, a report that can be copied, and what shows without a kernel."""

import pytest

from flowedit.widgets.env_card import EnvCard


def lights(root) -> dict[str, str]:
    return {key: root.get_attribute(f"data-{key}") for key in ("script", "kernel", "traits")}


@pytest.fixture(scope="module")
def book(open_notebook):
    notebook = open_notebook("from flowedit.widgets.env_card import EnvCard\nwidget = EnvCard()\nwidget", "widget")
    notebook.page.wait_for_function("document.querySelectorAll('.fe-env-card[data-traits=ok]').length === 2")
    return notebook


def test_all_lights_go_on_in_a_notebook(book):
    """Catches a handshake that only the page believes in: the kernel holds the number the page chose."""
    root = book.root("env-card")
    assert lights(root) == {"script": "ok", "kernel": "ok", "traits": "ok"}
    assert book.kernel("print(widget.ask == widget.answer > 0)") == "True"
    assert root.locator(".fe-part dd").first.inner_text().startswith("Jupyter on ")


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


def test_changes_that_do_not_come_back_are_noticed(book):
    """Catches a light that goes on without waiting for the kernel's copy."""
    book.kernel("widget.unobserve_all('ask')")
    root = book.root("env-card")
    root.get_by_role("button", name="Test again").click()
    book.page.wait_for_function("document.querySelector('.fe-env-card').dataset.traits === 'warn'")
    assert "do not come back" in root.inner_text()


def test_the_report_can_be_copied_or_selected(book):
    context = book.page.context
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    root = book.root("env-card")
    root.get_by_role("button", name="Copy report").click()
    shown = root.get_by_label("Report, select all and copy")
    shown.wait_for()
    text = shown.input_value()
    assert "kernel: works" in text
    for line in book.kernel("print(widget.text)").splitlines():
        assert line in text
    assert book.page.evaluate("navigator.clipboard.readText()") == text
    assert book.page.evaluate("getSelection().toString()") == text
    book.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); }")
    root.get_by_role("button", name="Copy report").click()  # a page that may not write to the clipboard is no error


def test_a_dead_kernel_turns_the_light_off(book):
    book.shut_down_kernel()
    root = book.root("env-card")
    root.get_by_role("button", name="Test again").click()
    book.page.wait_for_function("document.querySelector('.fe-env-card').dataset.kernel === 'off'")
    assert lights(root)["traits"] == "off"
    book.check_quiet()


def test_an_exported_card_says_that_it_is_a_record(open_page):
    watched = open_page(EnvCard().to_html())
    root = watched.root("env-card")
    assert lights(root) == {"script": "ok", "kernel": "off", "traits": "off"}
    assert "when this was saved" in root.inner_text()
    watched.check_quiet()
