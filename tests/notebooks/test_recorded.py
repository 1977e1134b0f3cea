"""What lessons carry with them: a recorded edit, the benchmark's means and the real models' speed, whole and small."""

import json

import numpy as np
import pytest

from benchmarks import RESULTS
from benchmarks.table import BenchTable, read_scores
from flowedit.edit.preparation import sigma_grid
from flowedit.edit.result import EditResult
from flowedit.errors import ModelError, OutputError
from flowedit.keyframes import Keyframe
from flowedit.lessons import forecast, material, scoring
from flowedit.lessons.record import FOLDER, recorded
from flowedit.model import ClipShape
from flowedit.presets import preset_settings
from flowedit.settings import EditSettings
from flowedit.trace import FIELDS, StepTrace, Trace
from flowedit.wan.checkpoints import resolve
from flowedit.wan.memory import Resources, token_count
from notebooks.publish import record

BYTES = 250_000
CLIP = ClipShape(num_frames=81, height=480, width=832)
HOST = {"host_total": 64_000_000_000, "host_free": 60_000_000_000, "disk_free": 0}
NO_GPU = Resources(device="cpu", **HOST)


def with_gpu(gigabytes):
    size = gigabytes << 30
    return Resources(device="cuda", gpu_name="some", gpu_total=size, gpu_free=size, capability=(8, 9), **HOST)


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
    """Catches frames cut at the wrong place, keyframes under another index, readings lost."""
    edit, events = made_up(), [{"node": "sample", "seconds": 0.1}]
    record.save(edit, events, tmp_path)
    back = recorded(tmp_path)
    assert ([key.index for key in back.keyframes], back.events) == ([0, 4], events)
    assert back.note == "recorded, model tiny"
    assert back.trace.to_dict() == edit.trace.to_dict()
    assert back.settings == edit.settings
    pairs = (back.source, edit.source), (back.frames, edit.frames), (back.keyframes[1].image, edit.keyframes[1].image)
    for a, b in pairs:
        assert np.abs(a.astype(float) - b).mean() < 6


def test_the_shipped_recording_is_whole_small_and_by_the_shipped_model():
    """Catches a recording that grew, one by another model, and one whose edit changed nothing."""
    edit = recorded()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= BYTES
    assert edit.model == "tiny"
    assert edit.source.shape == edit.frames.shape == (33, 128, 128, 3)
    assert [event["node"] for event in edit.events][:2] == ["sample", "select_keyframes"]
    assert len(edit.trace.steps) == len(sigma_grid(edit.settings)) - 1
    assert edit.trace.final_gap() < 1
    assert np.abs(edit.frames.astype(float) - edit.source).mean() > 5


def test_the_package_carries_the_documentations_figures():
    """Catches new figures in the documentation without `python -m notebooks.publish build`."""
    assert scoring.FILE.read_text(encoding="utf-8") == record.rows()
    assert forecast.FILE.read_text(encoding="utf-8") == record.speeds()


def test_the_rows_are_the_benchmarks():
    """Catches a row left out, the gain of another row, and a mean over styles that a colour map explains."""
    table = BenchTable(read_scores(RESULTS / "quality.csv.gz"))
    rows = scoring.recorded_rows()
    assert set(table.rows) - set(rows) <= {
        row for row in table.rows if not table.mean(row, condition="disagreeing").cases
    }
    for kind in ("exact", "disagreeing"):
        far = {name: table.mean(name, condition=kind).mean for name in ("default", "estimate")}
        assert rows["estimate"][kind].far[0] == pytest.approx(far["estimate"], abs=0.006)
        assert rows["estimate"][kind].gain[0] == pytest.approx(far["default"] - far["estimate"], abs=0.006)
        assert all(row.far[1] <= row.far[0] <= row.far[2] for row in (kinds[kind] for kinds in rows.values()))


@pytest.mark.parametrize("size", record.SIZES)
@pytest.mark.parametrize("keyframes", [0, 5])
def test_the_recorded_speed_gives_the_measured_forwards_back(size, keyframes):
    """Catches a fit through the wrong points, and the time of a transformer said of a block."""
    rows = json.loads((RESULTS / "gpu_h100.json").read_text(encoding="utf-8"))["rows"]
    entry = resolve(size)
    wanted = (entry.name, "fast path (compiled)", keyframes)
    (measured,) = [r["seconds"] for r in rows if (r["checkpoint"], r["name"], r["keyframes"]) == wanted]
    found, gpu = forecast.recorded_speed(size)
    assert found.forward_seconds(entry.width, token_count(entry, CLIP, keyframes)) == pytest.approx(measured)
    assert "H100" in gpu


def test_an_outlook_says_tokens_minutes_and_the_gpu_they_were_measured_on():
    found = forecast.outlook("1.3B", CLIP, preset_settings("1.3B"), keyframes=3)
    assert "1.3B: 32760 tokens" in found.words
    assert 1 < found.minutes < 10
    assert f"{found.minutes:.1f} minutes on NVIDIA H100" in found.words


def test_a_real_model_is_refused_in_one_line(monkeypatch, tmp_path):
    """Catches a lesson that starts a run of days on a processor, and a reason that fills the page."""
    monkeypatch.setattr(material, "measure_resources", lambda: NO_GPU)
    with pytest.raises(ModelError, match="no GPU") as no_gpu:
        material.large_model("14B", CLIP)
    monkeypatch.setattr(material, "measure_resources", lambda: with_gpu(24))
    monkeypatch.setenv("DIFFSYNTH_MODEL_BASE_PATH", str(tmp_path))
    with pytest.raises(ModelError, match="flowedit models fetch") as no_files:
        material.large_model("14B", CLIP)
    assert all(len(str(error.value).splitlines()) == 1 for error in (no_gpu, no_files))


def test_a_speed_that_was_not_recorded_is_said():
    with pytest.raises(OutputError, match=r"No speed of Wan2\.1-VACE-14B was recorded; measure it with"):
        forecast.recorded_speed("Wan2.1-VACE-14B")


def test_a_score_is_the_nearness_at_its_places_and_the_movement():
    """Catches far and keyframes exchanged, and flicker of the truth instead of the edit."""
    clip = material.clip(0, "sepia", frames=9, height=64, width=64)
    edited = clip.truth.copy()
    edited[4] = 255 - edited[4]
    found = scoring.score(clip, (0, 8), edited)
    assert found["psnr_key"] == 40
    assert found["psnr_far"] < 20
    assert found["flicker"] > 2


def test_what_ran_names_method_correction_and_estimate():
    """Catches a cell that credits the correction for a picture made without it."""
    assert material.what_ran(preset_settings("tiny")).endswith("no correction, on a classical estimate of the clip")
    said = material.what_ran(preset_settings("tiny", "method"))
    assert said == "ran: method difference, correction Constant(share=0.25), without an estimate"
    assert material.what_ran(preset_settings("tiny", "draft")) == "ran: method estimate, without a model"
