"""What the picture gallery shows in a JupyterLab: notebook cells on the lessons' clips and the small model."""

from typing import NamedTuple


class Shown(NamedTuple):
    """A cell and when its output is fit to be pictured.

    Attributes:
        cell: Python code whose last line is what is shown.
        ready: what must be on the page by then, as a CSS selector.
    """

    cell: str
    ready: str


_RECORDED = """
from flowedit.lessons.record import recorded
edit = recorded()
"""

_ENV_CARD = """
from flowedit.widgets import EnvCard
EnvCard()
"""

_FRAME_SCRUBBER = f"""{_RECORDED}
from flowedit.widgets import FrameScrubber
FrameScrubber(edit.clips, keyframes=edit.indices, note=edit.note, heading="A recorded edit", index=16)
"""

_RESIDUAL_INSPECTOR = f"""{_RECORDED}
from flowedit.widgets import ResidualInspector
ResidualInspector(edit.trace, note=edit.note, index=16, step=2)
"""

_SLOT_MAP = f"""{_RECORDED}
from flowedit.widgets import SlotMap
SlotMap(frames=edit.source, keyframes=(0, 14, 16, 32), index=14, note=edit.note)
"""

_COMPARE_GRID = """
import numpy as np
from flowedit import lessons
from flowedit.metrics import psnr, ssim
from flowedit.widgets import CompareGrid
clip, keys = lessons.clip(), (0, 16, 32)
near = [min(keys, key=lambda k: abs(k - i)) for i in range(33)]
change = clip.truth.astype(float) - clip.frames
flat = lambda frames: np.concatenate([frames, np.ones_like(frames[..., :1])], -1)
at = list(keys)
colours = np.linalg.lstsq(flat(clip.frames[at]).reshape(-1, 4), clip.truth[at].reshape(-1, 3), rcond=None)[0]
rows = {
    "source": clip.frames,
    "exact": clip.truth,
    "one colour map": np.clip(flat(clip.frames) @ colours, 0, 255).astype(np.uint8),
    "nearest keyframe held": clip.truth[near],
    "half the change": (clip.frames + change / 2).astype(np.uint8),
    "nearest keyframe's change": np.clip(clip.frames + change[near], 0, 255).astype(np.uint8),
}
def scores(frames):
    return {"PSNR, dB": psnr(frames, clip.truth).mean(), "SSIM": ssim(frames, clip.truth).mean()}
CompareGrid([(name, frames, {} if name == "exact" else scores(frames)) for name, frames in rows.items()],
            better={"PSNR, dB": "high", "SSIM": "high"}, references=("source", "exact"), keyframes=keys,
            sort=["PSNR, dB", "down"], index=8, heading="Simple ways, against the exact edit", note="computed scene")
"""

_ALPHA_EXPLORER = f"""{_RECORDED}
import time
from flowedit.widgets import AlphaExplorer
from flowedit.widgets.demo import partial_edit, run_trace
def run_of(alpha):
    trace = run_trace(alpha)
    frames = partial_edit(edit.source, edit.frames, trace)
    change = abs(frames - 1.0 * edit.source).mean()
    return alpha, frames, trace, {{"change from source": change}}
def slowly(alpha):
    for i in range(100):  # slow enough to be pictured on the way
        time.sleep(0.3)
        yield i + 1, 100
    return run_of(alpha)
widget = AlphaExplorer([run_of(alpha) for alpha in (0.0, 1.0, 3.0, 10.0, 30.0)], source=edit.source, compute=slowly,
                       alpha=3.0, index=16, heading="What alpha changes, on a linear field", note="closed form")
widget.compute(5.0)
widget
"""

_KEYFRAME_GALLERY = """
import json
import numpy as np
from PIL import Image
from flowedit.widgets import KeyframeGallery
from flowedit.widgets.agent_trace import RECORDED
events = json.loads((RECORDED / "agent.json").read_text())["events"]
verdicts = next(event for event in events if event["node"] == "judge")["values"]["verdicts"]
def picture(name):
    return np.asarray(Image.open(RECORDED / name).convert("RGB"))
def pair(verdict):
    index, names = verdict["index"], ("structure", "disagreement", "change")
    scores = {name: verdict[name] for name in names} | {"reasons": [fault["text"] for fault in verdict["faults"]]}
    return picture(f"sources/{index:04d}.webp"), picture(f"attempts/{index:04d}-0.webp"), index, scores
said = {"0": ("approve", ""), "16": ("redo", "keep the edge of the gear"), "32": ("redo", "paler, and keep the shapes")}
KeyframeGallery([pair(verdict) for verdict in verdicts if str(verdict["index"]) in said], resume=lambda answer: None,
                decisions={key: {"action": action, "reason": reason} for key, (action, reason) in said.items()},
                heading="Styled keyframes", note="recorded, painted offline")
"""

_RUN_PANEL = f"""{_RECORDED}
import time
from flowedit.widgets import RunPanel
from flowedit.widgets.demo_run import demo_run
run = demo_run(16, (edit.source, edit.frames))
def slowly():
    for step in run["work"]():
        time.sleep(1.5)  # slow enough to be pictured on the way
        yield step
panel = RunPanel(slowly, total=run["total"], preview=run["preview"], every=1, heading="A corrected run",
                 note="closed form")
panel.start()
panel
"""

_CLIP_PICKER = f"""{_RECORDED}
from pathlib import Path
from tempfile import TemporaryDirectory
from flowedit.media.clip import write_video
from flowedit.widgets import ClipPicker
folder = TemporaryDirectory()
path = Path(folder.name) / "scene.mp4"
write_video(path, edit.source, 16)
picker = ClipPicker(path, area=128 * 128)
picker.paint(0, edit.keyframes[0].image)
picker.map.keyframes = [0, 16, 32]
picker.map.index = 16
picker
"""

LAB: dict[str, Shown] = {
    "AlphaExplorer": Shown(_ALPHA_EXPLORER, "[data-drawn] progress[value]"),
    "ClipPicker": Shown(_CLIP_PICKER, ".fe-slot-map[data-drawn]"),
    "CompareGrid": Shown(_COMPARE_GRID, "canvas"),
    "EnvCard": Shown(_ENV_CARD, "[data-traits=ok]"),
    "FrameScrubber": Shown(_FRAME_SCRUBBER, "[data-drawn]"),
    "KeyframeGallery": Shown(_KEYFRAME_GALLERY, "button.fe-primary:enabled"),
    "ResidualInspector": Shown(_RESIDUAL_INSPECTOR, ".fe-hcell"),
    "RunPanel": Shown(_RUN_PANEL, "[data-state=running][data-drawn]:has-text('step 4 of')"),
    "SlotMap": Shown(_SLOT_MAP, "[data-drawn]"),
}
"""By widget; those that are not here are drawn from their exported page."""
