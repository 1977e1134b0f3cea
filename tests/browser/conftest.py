"""A real Chromium, a real JupyterLab, and pages opened from disk; every request that leaves the machine is recorded."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import numpy as np
import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from flowedit import widgets as fe
from flowedit.widgets._base import FlowWidget

CHROMIUM = os.environ.get("FLOWEDIT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
AXE = os.environ.get("FLOWEDIT_AXE") or Path(sys.prefix) / "share/axe/node_modules/axe-core/axe.min.js"
DASH = "\N{EN DASH}"
"""How the widgets write a number that is missing or not finite."""
PATIENCE = 180
"""Seconds until something that is awaited counts as missing: a busy machine is slow, and nothing waits for longer than
it has to."""
ARROWS = ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp")
KEYS = (*ARROWS, "End", "Home", "PageDown", "PageUp", "b", "a", "d", "d", "Space")
"""Keys that a notebook takes for itself; space comes last because it presses a button."""
LOCAL = ("file:", "data:", "blob:", "about:", "chrome:")

# What a lab page says on its own; none of it comes from a widget.
NOT_OURS = ("Failed to load resource", "ResizeObserver loop", "Could not send widget sync message")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no chromium on this machine"))


@dataclass
class Watched:
    """A browser page together with what went wrong on it."""

    page: Page
    base: str = ""
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.route("**/*", self._route)
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)

    def _inside(self, url: str) -> bool:
        own = (self.base, self.base.replace("http", "ws")) if self.base else ()
        return url.startswith((*LOCAL, *own))

    def _note(self, request: object) -> None:
        if not self._inside(request.url):
            self.outside.append(request.url)

    def _route(self, route: object) -> None:
        if self._inside(route.request.url):
            route.continue_()
        else:
            route.abort()

    def _console(self, message: object) -> None:
        if message.type == "error" and not any(text in message.text for text in NOT_OURS):
            self.errors.append(message.text)

    def root(self, name: str, nth: int = 0) -> Locator:
        """The `nth` drawn widget whose class is `fe-<name>`."""
        return self.page.locator(f".fe-{name}").nth(nth)

    def check_quiet(self) -> None:
        assert self.outside == []
        assert self.errors == []


class Notebook(Watched):
    """A notebook open in JupyterLab, all its cells run."""

    def kernel(self, code: str) -> str:
        """Run `code` in the notebook's kernel, outside any cell; what it printed."""
        text = self.page.evaluate(
            """async (code) => {
                const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                let text = "";
                const future = kernel.requestExecute({ code });
                future.onIOPub = ({ header, content }) => {
                    if (header.msg_type === "stream") text += content.text;
                    if (header.msg_type === "error") text += content.traceback.join("\\n");
                };
                await future.done;
                return text;
            }""",
            code,
        )
        return text.strip()

    def wait_for_kernel(self, code: str, expected: str, seconds: float = PATIENCE) -> None:
        """Run `code` in the kernel until it prints `expected`: a gesture takes its time on the way there."""
        deadline = time.monotonic() + seconds
        while (said := self.kernel(code)) != expected:
            assert time.monotonic() < deadline, f"{code} still prints {said!r} after {seconds} s, not {expected!r}"
            self.page.wait_for_timeout(50)

    def place(self) -> dict:
        """What a stray key would change: the number of cells, the active one, and the notebook's mode."""
        return self.page.evaluate(
            """() => {
                const { content } = jupyterapp.shell.currentWidget;
                return { cells: content.model.cells.length, active: content.activeCellIndex, mode: content.mode };
            }"""
        )

    def check_keys_stay(self, control: Locator) -> None:
        """Press on `control` every key that a notebook takes for itself, and see it left alone."""
        control.focus()
        control.scroll_into_view_if_needed()
        node = control.element_handle()
        before, name = self.place(), node.evaluate("(one) => one.outerHTML.slice(0, 160)")
        for key in KEYS:
            # A key may redraw the part that the control is in: it is gone then, and its successor comes in its turn.
            if not node.evaluate("(one) => (one.focus({ preventScroll: true }), document.activeElement === one)"):
                break
            self.page.keyboard.press(key)
        assert self.place() == before, name

    def shut_down_kernel(self) -> None:
        self.page.evaluate("async () => { await jupyterapp.shell.currentWidget.sessionContext.shutdown(); }")

    def close(self) -> None:
        """End the kernel and close the page; a second call does nothing."""
        if not self.page.is_closed():
            said = [*self.errors]
            self.shut_down_kernel()
            self.page.close()
            self.errors[:] = said  # what a page says of its own end is no fault

    def set_theme(self, name: str) -> None:
        self.page.evaluate(
            "async (theme) => { await jupyterapp.commands.execute('apputils:change-theme', { theme }); }", name
        )
        self.page.wait_for_function(
            "(light) => document.body.dataset.jpThemeLight === light", arg=str("Light" in name).lower()
        )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab server of its own: (address, folder it serves)."""
    home = tmp_path_factory.mktemp("lab")
    root = home / "root"
    root.mkdir()
    port = _free_port()
    config = home / "jupyter_server_config.py"
    config.write_text(
        "from jupyterlab.galata import configure_jupyter_server\n"
        "configure_jupyter_server(c)\n"
        f"c.ServerApp.port = {port}\nc.ServerApp.ip = '127.0.0.1'\nc.ServerApp.root_dir = {str(root)!r}\n"
        "c.ServerApp.allow_root = True\n",
        encoding="utf-8",
    )
    notices = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    notices.parent.mkdir(parents=True)
    notices.write_text('{"fetchNews": "false"}', encoding="utf-8")
    environment = {
        **os.environ,
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    log = (home / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--config={config}"],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{base}/api", server, home / "log")
        yield base, root
    finally:
        server.terminate()
        server.wait(PATIENCE)
        log.close()


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def lab_window(chromium: Browser) -> Iterator[BrowserContext]:
    """Where all notebooks are opened: one window, so that JupyterLab's scripts are fetched and compiled once."""
    window = chromium.new_context(viewport={"width": 1200, "height": 1000})
    yield window
    window.close()


@pytest.fixture(scope="module")
def open_notebook(lab: tuple[str, Path], lab_window: BrowserContext, request: pytest.FixtureRequest) -> Iterator:
    """`open_notebook(*cells)`: write a notebook with these code cells, open it in JupyterLab and run it."""
    base, root = lab
    opened: list[Notebook] = []

    def start(*cells: str, scale: float = 1, wait: bool = True) -> Notebook:
        name = f"{request.module.__name__}_{len(opened)}.ipynb"
        sheet = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        sheet.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(sheet, root / name)
        page = (
            lab_window.new_page()
            if scale == 1
            else lab_window.browser.new_page(viewport={"width": 1300, "height": 2600}, device_scale_factor=scale)
        )
        page.set_default_timeout(1000 * PATIENCE)
        notebook = Notebook(page, base)
        page.goto(f"{base}/lab/tree/{name}?reset")
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
        page.evaluate(
            """async (wait) => {
                await jupyterapp.shell.currentWidget.sessionContext.ready;
                jupyterapp.commands.execute('application:toggle-left-area').catch(() => null);
                const run = jupyterapp.commands.execute('notebook:run-all-cells');
                if (wait) await run;
            }""",
            wait,
        )
        opened.append(notebook)
        if not wait:
            return notebook
        notebook.kernel("0")  # whatever the kernel still had to say about the widgets has arrived after this
        page.wait_for_timeout(300)
        return notebook

    yield start
    for notebook in opened:
        notebook.close()
    for notebook in opened:
        notebook.check_quiet()


@pytest.fixture
def open_page(chromium: Browser, tmp_path: Path) -> Iterator:
    """`open_page(html, ...)`: write an exported page to disk and open it from there; in the end none complained."""
    opened: list[Watched] = []

    def start(html: str, *, scripts: bool = True, theme: str = "light", width: int = 1000) -> Watched:
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(html, encoding="utf-8")
        context = chromium.new_context(
            java_script_enabled=scripts, color_scheme=theme, viewport={"width": width, "height": 900}
        )
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        opened.append(Watched(page))
        page.goto(path.as_uri())
        if scripts:
            page.wait_for_selector("html[data-fe-ready]", state="attached")
        return opened[-1]

    yield start
    for watched in opened:
        watched.page.context.close()
    for watched in opened:
        watched.check_quiet()


@pytest.fixture
def drawn(open_page: Callable) -> Callable[..., Locator]:
    """`drawn(widget)`: the widget on its exported page, its clips decoded; of several, all on one page."""

    def start(*widgets: FlowWidget, **options: object) -> Locator:
        root = open_page(fe.page(widgets, "drawn"), **options).page.locator(".fe-root")
        for nth, widget in enumerate(widgets):
            if isinstance(widget, fe.AlphaExplorer | fe.CompareGrid | fe.FrameScrubber):
                until(root.page, "(one) => 'drawn' in one.dataset", root.nth(nth).element_handle())
        return root

    return start


def shows(root: Locator, **said: object) -> None:
    """Wait until a widget's root says this in its data attributes."""
    for name, value in said.items():
        until(
            root.page, "([one, name, value]) => one.dataset[name] === value", [root.element_handle(), name, str(value)]
        )


def until(page: Page, condition: str, argument: object = None, seconds: float = PATIENCE) -> None:
    """Wait until a JavaScript function of `argument` is true; also where a page's policy forbids eval."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition, argument):
        if time.monotonic() > deadline:
            raise AssertionError(f"Still not true after {seconds} s: {condition}")
        page.wait_for_timeout(25)


def nothing_left(look: Callable[[], list[str]], seconds: float = 30) -> list[str]:
    """What `look` still finds once it finds nothing, or when the time is over: styles of a theme arrive one by one."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def pixels(picture: Locator) -> np.ndarray:
    """What a canvas or an <img> shows on white, at its own size, uint8 (height, width, 3)."""
    height, width, data = picture.evaluate(
        """async (node) => {
            let shown = node;
            if (node.currentSrc) {
                shown = new Image();  // a copy: the next step's picture may replace the node's while it decodes
                shown.src = node.currentSrc;
                await shown.decode();
            }
            const [height, width] = [shown.naturalHeight ?? shown.height, shown.naturalWidth ?? shown.width];
            const pen = new OffscreenCanvas(width, height).getContext("2d");
            pen.fillStyle = "white";
            pen.fillRect(0, 0, width, height);
            pen.drawImage(shown, 0, 0);
            return [height, width, JSON.stringify([...pen.getImageData(0, 0, width, height).data])];
        }"""
    )
    return np.array(json.loads(data), np.uint8).reshape(height, width, 4)[..., :3]


def check_like(picture: Locator, frame: np.ndarray) -> None:
    """Catches a picture that is not this frame, within what its encoding loses."""
    difference = np.abs(pixels(picture) - frame.astype(int))
    assert difference.mean() < 4
    assert np.quantile(difference, 0.99) < 32


POOR_CONTRAST = """(root) => {
    const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map((c) => top[c] * top[3] + below[c] * (1 - top[3])).concat(1);
    const ground = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };
    const light = (colour) => {
        const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = colour.map((v) => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const poor = [];
    for (const node of root.querySelectorAll("*")) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
        if (!own || !node.checkVisibility() || node.closest(":disabled, .fe-hidden, option")) continue;
        const back = ground(node);
        const style = getComputedStyle(node);
        const ink = over(rgba(node instanceof SVGElement ? style.fill : style.color), back);
        const [a, b] = [light(ink), light(back)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const name = node.className.baseVal ?? node.className;
        if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${name}: ${node.textContent.slice(0, 40)}`);
    }
    return poor;
}"""


def poor_contrast(root: Locator) -> list[str]:
    """Texts whose contrast to what lies behind them is under 4.5 (axe passes over these inside a scrolled notebook)."""
    return root.evaluate(POOR_CONTRAST)


def axe_findings(watched: Watched, selector: str) -> list[str]:
    """Serious and critical findings of axe-core inside `selector`."""
    if not Path(AXE).is_file():
        pytest.fail("axe-core is not installed: run `make setup-tests`, or set FLOWEDIT_AXE to an axe.min.js.")
    if not watched.page.evaluate("Boolean(window.axe)"):
        watched.page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = watched.page.evaluate("async (where) => (await axe.run(where)).violations", selector)
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:160]}" for item in found if item["impact"] in ("serious", "critical")
    ]
