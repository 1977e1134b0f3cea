"""Pictures of what has no page of its own: plain ipywidgets, shown by a JupyterLab that runs for the picture."""

import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nbformat
from PIL import Image

from flowedit.errors import WidgetError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLIP_PICKER = """
from pathlib import Path
from tempfile import TemporaryDirectory
from flowedit.video import write_video
from flowedit.widgets.clip_picker import ClipPicker
from flowedit.widgets.demo import scene
folder = TemporaryDirectory()
path = Path(folder.name) / "scene.mp4"
write_video(path, scene(40, 96, 160), 24)
picker = ClipPicker(path, area=96 * 160)
picker.paint(0, 255 - picker._frames[0])
picker.map.keyframes = [0, 16, 32]
picker.map.index = 16
picker
"""
"""A picker with a clip, three picked frames and one of them painted."""

_PATIENCE_S = 180
_THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
_RUN = """async () => {
    await jupyterapp.shell.currentWidget.sessionContext.ready;
    await jupyterapp.commands.execute("notebook:run-all-cells");
}"""
_SET_THEME = "async (theme) => { await jupyterapp.commands.execute('apputils:change-theme', { theme }); }"


def draw_in_lab(browser: "Browser", cell: str, targets: dict[tuple[str, int], Path]) -> None:
    """Write pictures of a cell's output as JupyterLab shows it.

    Args:
        browser: a Chromium.
        cell: Python code whose last line is what is shown.
        targets: (theme, width in pixels) to the file.

    Raises:
        WidgetError: JupyterLab is not installed, or does not start.
    """
    with TemporaryDirectory() as folder, _server(Path(folder)) as address:
        sheet = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
        sheet.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(sheet, Path(folder) / "root" / "shown.ipynb")
        page = browser.new_page(viewport={"width": 1300, "height": 1400}, device_scale_factor=1.5)
        page.set_default_timeout(1000 * _PATIENCE_S)
        page.goto(f"{address}/lab/tree/shown.ipynb?reset")
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context?.isReady")
        page.evaluate(_RUN)
        page.wait_for_selector(".jp-OutputArea-output .fe-root canvas")
        for (theme, width), target in targets.items():
            _shoot(page, theme, width, target)
        page.evaluate("async () => { await jupyterapp.shell.currentWidget.sessionContext.shutdown(); }")
        page.close()


def _shoot(page: "Page", theme: str, width: int, target: Path) -> None:
    page.evaluate(_SET_THEME, _THEMES[theme])
    page.wait_for_selector(f".fe-root[data-fe-theme={theme}]")
    output = page.locator(".jp-OutputArea-output").first
    output.evaluate("(node, width) => { node.style.width = node.style.maxWidth = `${width}px`; }", width)
    page.wait_for_timeout(800)
    picture = Image.open(io.BytesIO(output.screenshot()))
    picture.convert("RGB").save(target, quality=82)


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
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--config={config}"],
        env={**os.environ, **own, "IPYTHONDIR": str(folder / "ipython")},
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
