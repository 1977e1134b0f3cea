"""The report: what can be drawn is, what cannot is said, and pictures carry names that can be read."""

import numpy as np
import pytest

from flowedit.keyframes import Keyframe
from flowedit.run.report import EMBED_LIMIT, comparison_frames, contact_sheet, render_report
from flowedit.trace import FIELDS, StepTrace, Trace

READ = dict.fromkeys(FIELDS, (0.5,))
TRACE = Trace(keyframes=(0,), slots=(0,), steps=[StepTrace(step=0, sigma=0.3, sigma_next=0.0, kappa=0.5, **READ)])
MANIFEST = {
    "num_frames": 5, "width": 64, "height": 32, "model": "tiny", "keyframes": [0],
    "output": {"width": 128, "height": 64}, "colour_offsets": [[0.0, 0.0, 0.0]] * 4 + [[9.0, 0.0, 0.0]],
    "source": {"name": "<b>.mp4"}, "settings": {"method": "coupled", "prompt": ""}, "metrics": {"edges_kept": 0.91},
    "seconds": {"total": 1.0}, "versions": {"python": "3"}, "machine": {"gpu": None},
    "styling": {"notes": ["offline <i>"], "usage": {"calls": 2, "usd": 0.1}},
}  # fmt: skip


def test_the_page_holds_everything_and_asks_for_nothing(tmp_path):
    """Catches a name that becomes markup, and a page that needs the network or a file beside it."""
    (tmp_path / "c.mp4").write_bytes(b"video")
    (tmp_path / "s.png").write_bytes(b"sheet")
    files = {"video": tmp_path / "c.mp4", "sheet": tmp_path / "s.png"}
    said = render_report({**MANIFEST, "advice": ["Raise <alpha>."]}, TRACE, **files)
    assert said.count("<h1>") == said.count("<h1>&lt;b&gt;.mp4: coupled</h1>") == 1
    assert "edited at 64 x 32, written at 128 x 64" in said
    shown = ("Raise &lt;alpha&gt;.", "offline &lt;i&gt;", "2 calls, about 0.10 USD", "0.91", "No frame flashes")
    assert not [words for words in (*shown, "data:video/mp4;base64,") if words not in said]
    assert "default-src 'none'" in said
    with (tmp_path / "c.mp4").open("r+b") as file:
        file.truncate(EMBED_LIMIT + 1)
    assert "data:image/svg+xml;base64," in said
    large = render_report({**MANIFEST, "advice": []}, Trace(keyframes=(), slots=()), **files)
    assert "corrects nothing" in large
    assert '<a href="c.mp4">' in large
    assert "<video" not in large


@pytest.mark.parametrize("size", [(64, 96), (480, 832)])
def test_pictures_stand_under_their_names(size):
    """Catches captions that run into the pictures, or grow too small to read beside large ones."""
    white = np.full((5, *size, 3), 255, np.uint8)
    sheet = contact_sheet(white, white, [Keyframe(4, white[4])])
    height, width = (side * max(1, round(192 / size[0])) for side in size)
    band = sheet.shape[0] // 3 - height
    assert band >= 27
    assert sheet.shape[1] == 5 * width + 4 * 8
    for row in np.split(sheet, 3):
        assert row[:band].min() < 100
        assert row[band:].min() == 255
    frames = np.stack([*comparison_frames(white, white, [Keyframe(4, white[4])])])
    assert frames.shape[0] == 5
    assert all(side % 2 == 0 for side in frames.shape[1:3])
    marked = [int((frame[:band] == (214, 96, 38)).all(axis=-1).sum()) for frame in frames]
    assert marked[:4] == [0] * 4
    assert marked[4] > 0
