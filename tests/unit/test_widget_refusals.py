"""What widgets refuse, each in one line that names the value and the rule, before anything is drawn."""

import numpy as np
import pytest
from traitlets import TraitError

from flowedit.errors import FlowEditError
from flowedit.toy import Mixture, Scene
from flowedit.trace import Trace
from flowedit.widgets import (
    AgentTrace,
    AlphaExplorer,
    ClipPicker,
    CompareGrid,
    FlowField2D,
    FrameScrubber,
    GapExplorer,
    KeyframeGallery,
    SlotMap,
)

EMPTY = Trace(keyframes=(), slots=())
LINE = Scene(title="1-D", source=Mixture.even([(0.0,)], 1.0), target=Mixture.even([(1.0,)], 1.0))


def clip(frames=3, height=4, width=4):
    return np.zeros((frames, height, width, 3), np.uint8)


REFUSED = [
    (lambda: AgentTrace([{"seconds": 1}]), "names no node"),
    (lambda: AgentTrace([{"node": "a"}] * 401), r"401 events.*at most 400"),
    (lambda: AlphaExplorer([]), "Got 0 runs"),
    (lambda: AlphaExplorer([(1.0, clip(), EMPTY, {})] * 49), "Got 49 runs.*1 to 48"),
    (lambda: AlphaExplorer([(1.0, clip(), EMPTY, {}), (2.0, clip(4), EMPTY, {})]), "one shape"),
    (lambda: AlphaExplorer([(1.0, clip(2000), EMPTY, {})]), r"2000 frames.*at most 600"),
    (lambda: AlphaExplorer([(1.0, clip(), EMPTY, {})], compute=abs), "'abs', which never yields"),
    (lambda: ClipPicker(window=1001), "window is 1001"),
    (lambda: CompareGrid([]), "Got rows"),
    (lambda: CompareGrid([("a", clip(), {})] * 2), "different names"),
    (lambda: CompareGrid([("a", clip(), {})], better={"a": "up"}), '"high" or "low"'),
    (lambda: CompareGrid([("a", clip(), {}), ("b", clip(3, 4, 5), {})]), "one shape"),
    (lambda: CompareGrid([("a", clip(2000), {})]), r"2000 frames.*at most 600"),
    (lambda: FlowField2D({}), r"Got scenes \[\]"),
    (lambda: FlowField2D({"line": LINE}), "'line'.*in the plane"),
    (lambda: FlowField2D(scene="nowhere"), "No scene 'nowhere'"),
    (lambda: FlowField2D(shift=0.0), "'shift'.*should not be less"),
    (lambda: FrameScrubber({"a": clip(2000)}), r"2000 frames.*at most 600.*frames\[::4\]"),
    (lambda: FrameScrubber({"a": clip(0)}), r"\(0, 4, 4, 3\)"),
    (lambda: FrameScrubber({"a": clip().astype(np.float32)}), "float32"),
    (lambda: FrameScrubber({"a": clip()[..., 0]}), r"\(3, 4, 4\)"),
    (lambda: FrameScrubber({"a": clip(), "b": clip(4)}), "one shape"),
    (lambda: FrameScrubber({}), "no clip"),
    (lambda: FrameScrubber({"a": clip()}, keyframes=[1, 3]), r"\[3\] lie outside.*0 to 2"),
    (lambda: FrameScrubber({"a": clip()}, fps=0), "fps is 0"),
    (lambda: GapExplorer(steps=0), "'steps'"),
    (lambda: GapExplorer(steps=201), "'steps'"),
    (lambda: GapExplorer(shift=0.0), "'shift'"),
    (lambda: GapExplorer(strength=1.5), "'strength'"),
    (lambda: GapExplorer(alpha=-1.0), "'alpha'"),
    (lambda: GapExplorer(beta=2.0), "'beta'"),
    (lambda: GapExplorer(step=-1), "'step'"),
    (lambda: KeyframeGallery([(clip()[0], clip()[0], 0, {})] * 2), r"\[0, 0\].*each index once"),
    (lambda: SlotMap(2000), r"4n \+ 1 frames; got 2000"),
    (lambda: SlotMap(2001), "2001 frames do not fit a map; use a window of 597"),
    (lambda: SlotMap(), "Pass num_frames"),
    (lambda: SlotMap(frames=clip(6)), "got 6"),
]


@pytest.mark.parametrize(("make", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_refused_in_one_line(make, says):
    """Catches a page that swallows what it cannot draw until the browser gives up."""
    with pytest.raises((FlowEditError, TraitError), match=says) as caught:
        make()
    assert "\n" not in str(caught.value)
