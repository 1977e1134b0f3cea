"""`flowedit doctor` tells what the shipped small model takes here, and shows that it is measuring."""

from dataclasses import replace

import pytest
from small_tiny import random_pipeline

from flowedit import models
from flowedit.cli.main import main
from flowedit.cli.measuring import TinyCost, measure_tiny
from flowedit.presets import model_defaults
from flowedit.wan import fast, memory, speed
from flowedit.wan.adapter import Trained, WanVideo


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(speed, "measure_speed", lambda *_, **__: speed.Speed(1e-8, 1e-12, 1e-9, 2e-9))


@pytest.fixture
def asked(monkeypatch):
    """Keyframes of every measurement, which takes 30 seconds and 1.2 GB without being made."""
    calls = []
    cost = TinyCost(seconds=30.0, gpu=0, host=1_200_000_000)
    monkeypatch.setattr("flowedit.cli.measuring.measure_tiny", lambda count: calls.append(count) or cost)
    return calls


def tiny_row(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *arguments])
    assert stop.value.code == 0
    said = capsys.readouterr()
    (row,) = [line for line in said.out.splitlines() if line.strip("│| ").startswith("tiny")]
    return row, said.err


def test_the_small_model_has_a_row_with_time_and_memory(capsys, asked):
    row, _ = tiny_row(capsys)
    for words in ("33 of 128x128", "resident", "0.0 GB", "1.2 GB", "0.5 (30 s)"):
        assert words in row
    assert asked == [5]


@pytest.mark.parametrize(
    ("capability", "library", "advised"),
    [((9, 0), None, True), ((9, 0), print, False), ((8, 0), None, False), ((0, 0), None, False)],
)
def test_a_hopper_gpu_without_flash_attention_3_is_told_of_it(capsys, asked, monkeypatch, capability, library, advised):
    monkeypatch.setattr(fast, "find_flash3", lambda: fast.Flash3(library, "FlashAttention-3 is not installed"))
    here = memory.measure_resources()
    monkeypatch.setattr(memory, "measure_resources", lambda: replace(here, capability=capability))
    with pytest.raises(SystemExit):
        main(["doctor", "--no-speed"])
    said = capsys.readouterr().out
    assert ("flowedit[hopper]" in said) == ("FlashAttention-3 is not installed" in said) == advised


def test_its_time_grows_with_the_frames(capsys, asked):
    """Catches the time of one window said of a clip of two."""
    row, _ = tiny_row(capsys, "--frames", "65", "--keyframes", "3")
    assert "65 of 128x128" in row
    assert "1.0 (59 s)" in row
    assert asked == [3]


def test_nothing_is_measured_when_speed_is_left_out(capsys, asked):
    row, _ = tiny_row(capsys, "--no-speed")
    assert "not measured" in row
    assert asked == []


def test_a_terminal_shows_what_is_being_measured(capsys, asked, monkeypatch):
    """Catches half a minute of silence; and a spinner in the table's own stream."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, err = tiny_row(capsys, "--keyframes", "3")
    assert "measuring" in err
    assert asked == [3]


@pytest.mark.parametrize(("given", "at"), [(0, [0]), (3, [0, 16, 32]), (40, [0, 4, 8, 12, 16, 20, 24, 28, 32])])
def test_the_measurement_is_a_default_edit_of_the_whole_window(monkeypatch, given, at):
    """Catches a short clip, a draft, and more keyframes than a window can hold."""
    seen = []
    monkeypatch.setattr(
        models, "load_model", lambda name: WanVideo(random_pipeline(0), name=name, trained=Trained(refines=True))
    )
    monkeypatch.setattr(
        "flowedit.edit.steps.edit_video", lambda clip, keys, model, settings: seen.append((clip, keys, settings))
    )
    cost = measure_tiny(given)
    ((clip, keys, settings),) = seen
    assert clip.shape == (model_defaults("tiny").window, 128, 128, 3)
    assert [key.index for key in keys] == at
    assert (settings.method, settings.scale) == ("refine", 1.0)
    assert cost.seconds > 0
    assert cost.host > 100_000_000
