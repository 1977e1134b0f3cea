"""The recorded edit: whole, small, labelled, and in the form that a live run takes."""

import numpy as np
import pytest

from flowedit.errors import OutputError
from flowedit.keyframes import Keyframe
from flowedit.lessons.record import FOLDER, live, recorded, save
from flowedit.preparation import sigma_grid
from flowedit.result import EditResult
from flowedit.settings import EditSettings
from flowedit.trace import FIELDS, StepTrace, Trace

BYTES = 2_000_000


def made_up():
    """A run of one step on a smooth clip, in the form that the editor returns."""
    ramp = np.linspace(0, 255, 16 * 32).reshape(16, 32, 1)
    source = np.stack([np.roll(ramp, 3 * i, axis=1).repeat(3, axis=2) for i in range(5)]).astype(np.uint8)
    step = StepTrace(step=0, sigma=1.0, sigma_next=0.0, kappa=0.5, **dict.fromkeys(FIELDS, (0.25, 0.5)))
    return EditResult(
        frames=255 - source,
        source=source,
        keyframes=(Keyframe(0, 255 - source[0]), Keyframe(4, 255 - source[4])),
        settings=EditSettings(prompt="inverted"),
        model="tiny",
        trace=Trace(keyframes=(0, 4), slots=(0, 1), method="coupled", alpha=10.0, steps=[step]),
    )


def test_a_recording_comes_back_as_it_was(tmp_path):
    """Catches frames cut at the wrong place, keyframes under another index, and readings lost."""
    edit = live(made_up(), [{"node": "sample", "seconds": 0.1}])
    save(edit, tmp_path)
    back = recorded(tmp_path)
    assert back.indices == (0, 4)
    assert back.events == edit.events
    assert back.trace.to_dict() == edit.trace.to_dict()
    assert back.manifest["settings"]["prompt"] == "inverted"
    for name in ("source", "frames"):
        a, b = getattr(edit, name).astype(float), getattr(back, name).astype(float)
        assert a.shape == b.shape
        assert np.abs(a - b).mean() < 6
    assert np.abs(back.keyframes[1].image.astype(float) - edit.keyframes[1].image).mean() < 6


def test_labels_say_what_it_is(tmp_path):
    edit = live(made_up())
    assert edit.note == "live, model tiny"
    save(edit, tmp_path)
    assert recorded(tmp_path).note == "recorded, model tiny"


def test_a_recording_with_a_part_missing_is_refused(tmp_path):
    save(live(made_up()), tmp_path)
    (tmp_path / "edited.webp").unlink()
    with pytest.raises(OutputError, match="publish record"):
        recorded(tmp_path)


def test_the_shipped_recording_is_whole_small_and_by_the_shipped_model():
    """Catches a recording that grew, one by another model, and one whose edit changed nothing."""
    edit = recorded()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= BYTES
    assert edit.manifest["model"] == "tiny"
    assert edit.source.shape == edit.frames.shape == (33, 128, 128, 3)
    assert [event["node"] for event in edit.events][:2] == ["sample", "select_keyframes"]
    known = {name: edit.manifest["settings"][name] for name in EditSettings().to_dict()}
    assert len(edit.trace.steps) == len(sigma_grid(EditSettings.of(**known))) - 1
    assert edit.trace.final_gap() < 1
    assert np.abs(edit.frames.astype(float) - edit.source).mean() > 5
