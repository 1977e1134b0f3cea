"""Pictures of widgets as a JupyterLab shows them, with a kernel that answers: it runs for the pictures alone."""

import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import nbformat
from PIL import Image

from flowedit.errors import WidgetError
from flowedit.widgets.gallery_cells import Shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MOST_BYTES = 60_000
"""Of a picture's file."""

Theme = Literal["light", "dark"]
Look = tuple[Theme, int]
"""A theme, and a width in pixels."""
_PATIENCE_S = 300
_THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
_START = """async () => {
    await jupyterapp.shell.currentWidget.sessionContext.ready;
    jupyterapp.commands.execute("notebook:run-all-cells");
}"""
_WHOLE = ".jp-OutputArea-output { overflow: visible !important; max-height: none !important; }"
_SET_THEME = "async (theme) => { await jupyterapp.commands.execute('apputils:change-theme', { theme }); }"


def draw_in_lab(browser: "Browser", shown: Mapping[str, Shown], targets: Mapping[str, Mapping[Look, Path]]) -> None:
    """Write pictures of the outputs of cells as JupyterLab shows them.

    Args:
        browser: a Chromium.
        shown: the cells, by name.
        targets: by the same names, (theme, width in pixels) to the file.

    Raises:
        WidgetError: JupyterLab is not installed, or does not start.
    """
    with TemporaryDirectory() as folder, _server(Path(folder)) as address:
        for name, (cell, ready) in shown.items():
            sheet = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
            sheet.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(sheet, Path(folder) / "root" / f"{name}.ipynb")
            page = browser.new_page(viewport={"width": 1300, "height": 2600}, device_scale_factor=1.5)
            page.set_default_timeout(1000 * _PATIENCE_S)
            page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
            page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
            page.evaluate(_START)
            failed = page.locator("[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type*=error]")
            page.locator(f".jp-OutputArea-output {ready}").or_(failed).first.wait_for()
            if not page.locator(f".jp-OutputArea-output {ready}").count():
                raise WidgetError(f"The cell of {name} failed: {failed.first.inner_text()}")
            page.add_style_tag(content=_WHOLE)
            for (theme, width), target in targets[name].items():
                _shoot(page, theme, width, target)
            page.evaluate("async () => { await jupyterapp.shell.currentWidget.sessionContext.shutdown(); }")
            page.close()


def keep(picture: Image.Image, target: Path) -> None:
    """Write a picture at the best quality that stays small."""
    for quality in range(82, 40, -6):
        picture.convert("RGB").save(target, quality=quality, method=6)
        if target.stat().st_size <= MOST_BYTES:
            break


def _shoot(page: "Page", theme: str, width: int, target: Path) -> None:
    page.evaluate(_SET_THEME, _THEMES[theme])
    page.wait_for_selector(f".fe-root[data-fe-theme={theme}]")
    output = page.locator(".jp-OutputArea-output:has(.fe-root)").first
    output.evaluate("(node, width) => { node.style.width = node.style.maxWidth = `${width}px`; }", width)
    page.wait_for_timeout(800)
    keep(Image.open(io.BytesIO(output.screenshot())), target)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A JupyterLab that serves `folder/root` and keeps its own files beside it."""
    (folder / "root").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "jupyter_server_config.py"
    config.write_text(
        "from jupyterlab.galata import configure_jupyter_server\n"
        "configure_jupyter_server(c)\n"
        f"c.ServerApp.port = {port}\nc.ServerApp.ip = '127.0.0.1'\nc.ServerApp.root_dir = {str(folder / 'root')!r}\n"
        "c.ServerApp.allow_root = True\n",
        encoding="utf-8",
    )
    notices = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    notices.parent.mkdir(parents=True)
    notices.write_text('{"fetchNews": "false"}', encoding="utf-8")
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--config={config}"],
        env={
            **os.environ,
            **own,
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "IPYTHONDIR": str(folder / "ipython"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _await(f"{address}/api", server)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def _await(address: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise WidgetError("JupyterLab did not start; install it with `pip install jupyterlab`.")
