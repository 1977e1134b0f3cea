"""What holds for every widget of `EXAMPLES`, in JupyterLab and in an exported page."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from anywidget import _util

from flowedit import widgets
from flowedit.widgets._base import FlowWidget

from .conftest import axe_findings, nothing_left, poor_contrast, until
from .examples import EXAMPLES

NAMES = sorted(EXAMPLES)
CELL = "from tests.browser.examples import EXAMPLES\nwidget = EXAMPLES['{name}']()\nwidget"
ROOT = ".fe-root"


SLIDER = ("Home", "ArrowRight")
GESTURES = {
    "AgentTrace": ("[aria-label='Event']", SLIDER),
    "AlphaExplorer": ("[aria-label='Alpha']", SLIDER),
    "CompareGrid": ("[aria-label='Frame']", SLIDER),
    "CoupledStage": ("input[type=range]", SLIDER),
    "EnvCard": ("button:text('Test again')", ("Escape", "Enter")),
    "FlowField2D": ("input[type=range]", SLIDER),
    "FrameScrubber": ("[aria-label='Frame']", SLIDER),
    "GapExplorer": ("input[type=range]", SLIDER),
    "KeyframeGallery": ("button[data-value=approve]", ("Escape", "Enter")),
    "ResidualInspector": (".fe-heat", SLIDER),
    "RunPanel": ("button.fe-primary", ("Escape", "Enter")),
    "SlotMap": ("[role=listbox]", SLIDER),
}
"""For each widget a control, a key after which it stands still, and one that must change what the widget draws."""

DRAWN = """(root) => {
    const pictures = [...root.querySelectorAll("canvas")].map((one) => one.toDataURL());
    const text = root.outerHTML.replace(/ open=""/g, "") + pictures;
    return [...text].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)) | 0, text.length);
}"""
"""All that a script draws, as one number. What the browser does by itself does not count: a slider's own place is no
attribute, and that details are open is left out."""


def check_reacts(watched, gesture):
    """Catches a widget that stands there but is dead: a key must change what it draws."""
    control, (rest, change) = gesture
    root = watched.page.locator(ROOT).first
    node = root.locator(control).first
    node.press(rest)
    before = None
    while before != (before := root.evaluate(DRAWN)):
        watched.page.wait_for_timeout(300)
    node.press(change)
    until(watched.page, f"([root, before]) => ({DRAWN})(root) !== before", [root.element_handle(), before], seconds=20)


@pytest.fixture(scope="module", params=NAMES)
def notebook(request, open_notebook):
    book = open_notebook(CELL.format(name=request.param), "widget", "1 + 1")
    book.page.wait_for_selector(ROOT)
    book.name = request.param
    yield book
    book.close()


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def exported(name):
    return EXAMPLES[name]().to_html()


def test_every_widget_has_an_example():
    """Catches a widget that the checks below pass over."""
    public = [name for name in widgets.__all__ if isinstance(getattr(widgets, name), type)]
    assert sorted(name for name in public if issubclass(getattr(widgets, name), FlowWidget)) == NAMES


def test_script_imports_nothing_and_names_no_address():
    for name in NAMES:
        widget = getattr(widgets, name)
        assert not re.search(r"^\s*import\s|import\(|https?://(?!www\.w3\.org/)", widget._esm, re.M), name
        assert not re.search(r"@import|url\(", widget._css), name
        unprefixed = [rule for rule in re.findall(r"\.([A-Za-z][\w-]*)", _selectors(widget._css)) if rule[:3] != "fe-"]
        assert unprefixed == [], name


def _selectors(css: str) -> str:
    return "\n".join(part.split("}")[-1] for part in css.split("{"))


def test_keys_stay_in_the_widget_and_the_kernel_may_go(notebook):
    page = notebook.page
    cells = notebook.place()["cells"]
    notebook.check_keys_stay(
        page.locator(f"{ROOT} :is(input, button, select, [tabindex='0']):not([disabled]):visible").first
    )
    page.wait_for_timeout(400)
    notebook.shut_down_kernel()
    check_reacts(notebook, GESTURES[notebook.name])
    page.keyboard.press("b")
    page.wait_for_timeout(300)
    assert notebook.place()["cells"] == cells


def test_theme_follows_the_lab_and_the_contrast_is_enough(notebook):
    for theme, expected in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        notebook.set_theme(theme)
        notebook.page.wait_for_selector(f"{ROOT}[data-fe-theme={expected}]")
        assert nothing_left(lambda: poor_contrast(notebook.page.locator(ROOT).first)) == [], theme
        assert nothing_left(lambda: axe_findings(notebook, ROOT)) == [], theme


def test_exported_page_draws_with_no_request(exported, open_page):
    for theme in ("light", "dark"):
        watched = open_page(exported, theme=theme)
        assert watched.page.locator(ROOT).count() == 1
        watched.page.wait_for_selector(f"{ROOT}[data-fe-theme={theme}]")
        assert nothing_left(lambda page=watched: poor_contrast(page.page.locator(ROOT))) == [], theme
        assert nothing_left(lambda page=watched: axe_findings(page, ROOT)) == [], theme


def test_a_pressed_button_can_be_read_under_the_pointer(exported, open_page):
    """Catches a pressed button whose label takes the colour of the ground that the pointer gives it."""
    for theme in ("light", "dark"):
        watched = open_page(exported, theme=theme)
        watched.page.wait_for_selector(f"{ROOT}[data-fe-theme={theme}]")
        for button in watched.page.locator(f"{ROOT} :is([aria-pressed=true], .fe-primary):visible:enabled").all():
            button.hover()
            assert nothing_left(lambda one=button: poor_contrast(one.locator(".."))) == [], theme


def test_exported_page_fits_a_narrow_screen(exported, open_page):
    watched = open_page(exported, width=320)
    until(watched.page, "() => document.documentElement.scrollWidth <= 320")
    watched.page.wait_for_timeout(300)  # in which nothing may grow out of the page again
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 320


def test_without_scripts_a_picture_and_a_table_show(name, exported, open_page):
    watched = open_page(exported, scripts=False)
    assert watched.page.locator("figure.fe-static table").is_visible()
    if name != "EnvCard":  # which has nothing to picture
        picture = watched.page.locator("figure.fe-static img").first
        assert picture.is_visible()
        assert picture.bounding_box()["width"] > 100


def test_a_host_that_throws_is_survived(name, exported, open_page):
    """Some static sites hand widgets a model whose `off`, `send` and `save_changes` throw."""
    broken = exported.replace(
        "save_changes() {},",
        "save_changes() { throw new Error('no kernel'); }, send() { throw new Error('no kernel'); },",
    )
    broken = re.sub(r"off: \(event, handler\) =>[^\n]*", "off() { throw new Error('no off'); },", broken)
    broken = broken.replace("feModules[module].render({", "feModules.end = feModules[module].render({")
    assert broken.count("throw new Error") == exported.count("throw new Error") + 3
    watched = open_page(broken)
    page = watched.page
    check_reacts(watched, GESTURES[name])
    page.wait_for_timeout(300)  # in which the change is sent, and thrown back
    page.evaluate("feModules.end()")


def test_colab_widget_manager_is_enabled_once(name, monkeypatch):
    calls = []
    output = ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: calls.append(name)
    output._widgets = SimpleNamespace(_installed_url="https://example.invalid/manager.js")
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    _util.enable_custom_widget_manager_once.cache_clear()
    widget = EXAMPLES[name]()
    data, metadata = widget._repr_mimebundle_()
    widget._repr_mimebundle_()
    _util.enable_custom_widget_manager_once.cache_clear()
    assert calls == [name]
    assert "colab" in metadata["application/vnd.jupyter.widget-view+json"]
    assert "text/html" in data
