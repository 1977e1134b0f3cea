"""What lesson 07 says of the real models: the package's own predictions, from the speed that was measured."""

import json

import pytest

from flowedit.errors import ModelError, OutputError
from flowedit.lessons import realmodels
from flowedit.model import ClipShape
from flowedit.presets import preset_settings
from flowedit.wan import speed
from flowedit.wan.checkpoints import resolve
from flowedit.wan.memory import Resources, token_count
from tests.notebooks.lessons_on_disk import ROOT

CLIP = ClipShape(num_frames=81, height=480, width=832)
HOST = {"host_total": 64_000_000_000, "host_free": 60_000_000_000, "disk_free": 0, "cpu": "", "cores": 2}
NO_GPU = Resources(device="cpu", **HOST)
SMALL = Resources(device="cuda", gpu_name="some GPU", gpu_total=24 << 30, gpu_free=24 << 30, capability=(8, 9), **HOST)


def with_machine(monkeypatch, machine):
    monkeypatch.setattr(realmodels, "measure_resources", lambda: machine)


def test_the_package_carries_the_documentations_measurements():
    """Catches new measurements in the documentation without `python -m notebooks.publish build`."""
    text = (ROOT / "docs" / realmodels.FILE.name).read_text(encoding="utf-8")
    assert realmodels.FILE.read_text(encoding="utf-8") == realmodels.brief(text)


@pytest.mark.parametrize("size", ["1.3B", "14B"])
@pytest.mark.parametrize("keyframes", [0, 5])
def test_the_recorded_speed_gives_the_measured_forwards_back(size, keyframes):
    """Catches a fit through the wrong points, and the time of a transformer said of a block."""
    rows = json.loads((ROOT / "docs" / "gpu.json").read_text(encoding="utf-8"))["rows"]
    entry = resolve(size)
    (measured,) = [
        row["seconds"]
        for row in rows
        if (row["checkpoint"], row["name"], row["keyframes"]) == (entry.name, "fast path (compiled)", keyframes)
    ]
    found, gpu = realmodels.recorded_speed(size)
    assert found.forward_seconds(entry.width, token_count(entry, CLIP, keyframes)) == pytest.approx(measured)
    assert "H100" in gpu


def test_without_a_gpu_the_minutes_are_those_of_the_record(monkeypatch):
    with_machine(monkeypatch, NO_GPU)
    found = realmodels.outlook("1.3B", CLIP, preset_settings("1.3B"), keyframes=3)
    assert found.recorded
    assert found.tokens == 32_760
    assert "speed recorded" in str(found)
    assert "no GPU" in found.here
    assert found.streamed_gb < found.whole_gb


def test_with_a_gpu_the_minutes_are_measured_there(monkeypatch):
    """Catches the record's minutes said of this machine."""
    with_machine(monkeypatch, SMALL)
    monkeypatch.setattr(speed, "measure_speed", lambda *_, **__: speed.Speed(1e-6, 0.0, 0.0, 0.0))
    found = realmodels.outlook("1.3B", CLIP, preset_settings("1.3B"), keyframes=3)
    calls, blocks = 4 * 40, resolve("1.3B").width.layers
    assert found.minutes == pytest.approx(calls * blocks * 32_760 * 1e-6 / 60)
    assert (found.gpu, found.recorded) == ("some GPU", False)


def test_a_model_that_does_not_fit_is_said_and_recorded(monkeypatch):
    with_machine(monkeypatch, Resources(**{**vars(SMALL), "gpu_free": 1 << 30, "gpu_total": 1 << 30}))
    found = realmodels.outlook("14B", CLIP, preset_settings("14B"), keyframes=3)
    assert found.recorded
    assert "missing" in found.here


def test_a_real_model_is_refused_in_one_line(monkeypatch, tmp_path):
    """Catches a lesson that starts a run of days on a processor, and a reason that fills the page."""
    with_machine(monkeypatch, NO_GPU)
    with pytest.raises(ModelError, match="no GPU") as no_gpu:
        realmodels.load_real("14B", CLIP)
    with_machine(monkeypatch, SMALL)
    monkeypatch.setenv("DIFFSYNTH_MODEL_BASE_PATH", str(tmp_path))
    with pytest.raises(ModelError, match="flowedit models fetch") as no_files:
        realmodels.load_real("14B", CLIP)
    assert all(len(str(error.value).splitlines()) == 1 for error in (no_gpu, no_files))


def test_a_missing_record_is_said(tmp_path):
    with pytest.raises(OutputError, match="benchmarks gpu"):
        realmodels.recorded_speed("1.3B", tmp_path / "none.json")
