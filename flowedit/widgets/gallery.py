"""Pictures of every widget, light, dark and narrow: `python -m flowedit.widgets.gallery [folder] [name ...]`.

Needs a Chromium on the machine and the `playwright` package. What has a kernel to ask, or a clip to show, is drawn in a
JupyterLab, from the cells of `gallery_cells`; the others are their `example()` in its exported page.
"""

import argparse
import io
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

from flowedit import widgets
from flowedit.errors import WidgetError
from flowedit.widgets.gallery_cells import LAB
from flowedit.widgets.gallery_lab import Look, draw_in_lab, keep

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path("docs/img/widgets")
PICKER = "ClipPicker"
"""Not in the registry: made of plain ipywidgets, it has no page of its own."""
WIDTH, NARROW = 860, 320
LOOKS: dict[str, Look] = {"light": ("light", WIDTH), "dark": ("dark", WIDTH), "narrow": ("light", NARROW)}
"""What each picture's file is called after the widget's name, its theme and the width of its page in pixels."""
_SETTLE_MS = 500


def file_stem(name: str) -> str:
    """The file name of a widget's picture.

    >>> file_stem("FrameScrubber"), file_stem("FlowField2D")
    ('frame_scrubber', 'flow_field_2d')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", name).lower()


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A headless Chromium.

    Raises:
        WidgetError: there is none, or no playwright.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise WidgetError("Pictures need playwright; install it with `pip install playwright`.") from None
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise WidgetError("Pictures need a Chromium; install it with `apt-get install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def draw(browser: "Browser", html: str, look: str, target: Path) -> None:
    """Write a picture of the first widget of an exported page, in one of `LOOKS`."""
    theme, width = LOOKS[look]
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 800}, device_scale_factor=1.5)
    with TemporaryDirectory() as folder:
        page = open_exported(context.new_page(), html, Path(folder))
        page.wait_for_timeout(_SETTLE_MS)
        keep(Image.open(io.BytesIO(page.locator(".fe-root").first.screenshot())), target)
    context.close()


def open_exported(page: "Page", html: str, folder: Path) -> "Page":
    """Open an exported page from disk and wait until its widgets are drawn."""
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-fe-ready]", state="attached")
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures and name each file."""
    parser = argparse.ArgumentParser(
        prog="python -m flowedit.widgets.gallery", description="Draw every widget, light, dark and narrow."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("names", nargs="*", help="widgets to draw; all without names")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    names = given.names or sorted([*widgets.REGISTRY, PICKER])
    targets = {name: {look: given.folder / f"{file_stem(name)}_{look}.webp" for look in LOOKS} for name in names}
    with chromium() as browser:
        for name in set(names) - set(LAB):
            html = getattr(widgets, name).example().to_html()
            for look, target in targets[name].items():
                draw(browser, html, look, target)
        in_lab = {name: LAB[name] for name in names if name in LAB}
        if in_lab:
            shots = {name: {LOOKS[look]: path for look, path in targets[name].items()} for name in in_lab}
            draw_in_lab(browser, in_lab, shots)
    sys.stdout.writelines(f"{target}\n" for name in names for target in targets[name].values())
    return 0


if __name__ == "__main__":
    sys.exit(main())
