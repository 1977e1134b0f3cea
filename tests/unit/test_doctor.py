"""`flowedit doctor` tells at once what fits here, and when asked measures what edits take, showing that it does."""

from dataclasses import replace

import pytest
from fresh import fresh
from test_cli import run

from flowedit.model import ClipShape
from flowedit.settings import EditSettings
from flowedit.wan import fast, memory, speed
from flowedit.wan.checkpoints import resolve
from flowedit.wan.speed import Speed, predict_minutes

GB = 10**9
SPEED = Speed(1e-8, 1e-12, 1e-9, 2e-9)


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """What was measured, without the 30 seconds that it takes, on a machine that is always the same."""
    calls = []
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(speed, "measure_speed", lambda *_, **given: calls.append(given) or SPEED)
    here = replace(memory.measure_resources(), host_total=64 * GB, host_free=48 * GB)
    monkeypatch.setattr(memory, "measure_resources", lambda: here)
    return calls


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a large GPU."""
    big = {"device": "cuda", "gpu_name": "Some GPU", "gpu_total": 80 * GB, "gpu_free": 79 * GB, "capability": (9, 0)}
    found = replace(memory.measure_resources(), **big)
    monkeypatch.setattr(memory, "measure_resources", lambda: found)
    return found


def doctor(capsys, *arguments):
    assert run("doctor", *arguments) == 0
    return capsys.readouterr()


def row_of(shown, name):
    (row,) = [line for line in shown.splitlines() if line.strip("│| ").startswith(name)]
    return row


def test_it_shows_at_once_what_fits_and_measures_nothing(capsys, asked):
    shown = doctor(capsys).out
    for word in ("python", "diffsynth", "cores", "GB free", "33 of 128x128", "Wan2.2-I2V-A14B", "doctor --speed"):
        assert word in shown
    assert "minutes  " not in shown
    assert "19.5 GB" in row_of(shown, "Wan2.1-Fun-1.3B-InP")
    assert "GB are missing" in row_of(shown, "Wan2.2-I2V-A14B")
    assert asked == []


def test_without_a_driver_it_loads_neither_torch_nor_the_vendor():
    """Catches seconds of imports before the first line, for a GPU that is not there."""
    script = (
        "import sys; from flowedit.wan import memory; memory._has_driver = lambda: False\n"
        "from flowedit.cli.main import main\n"
        "try: main(['doctor'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'diffsynth', 'cv2', 'scipy') if name in sys.modules])"
    )
    assert fresh(script)[-1] == "[]"


def test_a_terminal_shows_what_is_measured(capsys, monkeypatch):
    """Catches half a minute of silence, and a spinner in the table's own stream."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = doctor(capsys, "--speed", "--frames", "65")
    assert "65 of 128x128" in said.out
    assert "measuring" in said.err
    assert "measuring" not in said.out


@pytest.mark.usefixtures("gpu")
def test_it_shows_level_and_minutes_on_a_gpu(capsys, asked):
    row = row_of(doctor(capsys, "--speed", "--keyframes", "0").out, "Wan2.1-Fun-1.3B-InP")
    assert "resident" in row
    assert {given["backend"] is not None for given in asked if given["device"] == "cuda"} == {True}
    shape, settings = ClipShape(num_frames=81, height=480, width=832), EditSettings(steps=50, guidance=5.0)
    assert f"{predict_minutes(SPEED, resolve('1.3B'), shape, settings):.1f}" in row


@pytest.mark.parametrize(
    ("capability", "library", "advised"), [((9, 0), None, True), ((9, 0), print, False), ((8, 0), None, False)]
)
def test_a_hopper_gpu_is_told_what_was_found_of_flash_attention_3(
    capsys, gpu, monkeypatch, capability, library, advised
):
    monkeypatch.setattr(fast, "find_flash3", lambda: fast.Flash3(library, "FlashAttention-3 is here or not"))
    monkeypatch.setattr(memory, "measure_resources", lambda: replace(gpu, capability=capability))
    said = doctor(capsys).out
    assert ("flowedit[hopper]" in said) == advised
    assert ("FlashAttention-3 is here or not" in said) == (capability == (9, 0))
