"""Draws docs/img/widgets anew: `python -m pytest tests/browser/pictures.py`; `-k NAME` draws one.

Not a test, though it runs as one: each widget as JupyterLab shows it, with a kernel that answers.
"""

import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from .examples import EXAMPLES

FOLDER = Path(os.environ.get("FLOWEDIT_PICTURES", "docs/img/widgets"))
THEMES = os.environ.get("FLOWEDIT_THEMES", "Light").split(",")
MOST_BYTES = 60_000
_RECORDED = """from flowedit import widgets
from flowedit.lessons.record import recorded
edit = recorded()
clips = {"source": edit.source, "edited": edit.frames}
"""
CELLS = {name: f"from tests.browser.examples import EXAMPLES\nEXAMPLES['{name}']()" for name in EXAMPLES} | {
    "CoupledStage": """from flowedit.lessons.record import three_ideas
from flowedit.widgets import CoupledStage
ideas = three_ideas()
CoupledStage(strips=ideas.strips, strips_name=ideas.words, at=6)""",
    "FrameScrubber": f"{_RECORDED}widgets.FrameScrubber(clips, keyframes=(0, 16, 32), note=edit.note, index=16)",
    "ResidualInspector": f"{_RECORDED}widgets.ResidualInspector(edit.trace, note=edit.note, index=16, step=2)",
    "SlotMap": f"{_RECORDED}widgets.SlotMap(frames=edit.source, keyframes=(0, 14, 16, 32), index=14, note=edit.note)",
    "ClipPicker": f"""{_RECORDED}
from pathlib import Path
from tempfile import mkdtemp
from flowedit.media.clip import write_video
path = Path(mkdtemp()) / "scene.mp4"
write_video(path, edit.source, 16)
picker = widgets.ClipPicker(path, area=128 * 128)
picker._images[0] = edit.keyframes[0].image
picker.map.keyframes, picker.map.index = [0, 16, 32], 16
picker
""",
    "RunPanel": f"""{_RECORDED}
import time
def slowly():
    for share in range(16):
        time.sleep(1.5)
        yield share / 16
def look(share):
    return (edit.source * (1 - share) + edit.frames * share).astype("uint8")
panel = widgets.RunPanel(slowly, total=16, preview=look, note=edit.note)
panel.start()
panel
""",
}
READY = {"EnvCard": "[data-kernel=ok]", "RunPanel": ":has-text('4 of 16')"}
"""What must be on the page by then, as a CSS selector, where a drawn widget is not enough."""


@pytest.mark.parametrize("name", CELLS)
def test_draw(open_notebook, name):
    book = open_notebook(CELLS[name], scale=1.5)
    book.page.locator(f".fe-root{READY.get(name, '')}").first.wait_for()
    book.page.add_style_tag(
        content=".jp-OutputArea-output { overflow: visible !important; max-height: none !important; }"
    )
    stem = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", name).lower()
    for theme in THEMES:
        book.set_theme(f"JupyterLab {theme}")
        output = book.page.locator(".jp-OutputArea-output:has(.fe-root)").first
        output.evaluate("(node) => { node.style.width = node.style.maxWidth = '860px'; }")
        book.page.wait_for_timeout(1000)
        picture = Image.open(io.BytesIO(output.screenshot())).convert("RGB")
        for quality in range(82, 40, -6):
            data = io.BytesIO()
            picture.save(data, "WEBP", quality=quality, method=6)
            if data.tell() <= MOST_BYTES:
                break
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{stem}_{theme.lower()}.webp").write_bytes(data.getvalue())
    book.close()
