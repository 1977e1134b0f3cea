"""The speed benchmark: what a command takes in a process of its own, and what is said and kept of its limits."""

import sys
from dataclasses import replace

import pytest

from benchmarks import speed
from benchmarks.__main__ import main
from benchmarks.speed import CommandTime, Launched, launch, read_speed, to_markdown
from flowedit.errors import ModelError

FAST = CommandTime(
    name="flowedit edit --preset draft",
    seconds=[8.0, 8.5, 9.0],
    processor_seconds=[4.0, 5.0, 9.0],
    others=[0.0, 0.25, 1.0],
    megabytes=1200.0,
    most_seconds=6.0,
    most_megabytes=1500.0,
)


def python(code):
    return [sys.executable, "-c", code]


def test_a_run_is_timed_with_its_own_memory():  # catches: the peak of all children so far, or of this process
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])  # this process's own peak is above both
    large = launch(python("x = bytearray(200_000_000)"))
    small = launch(python("import time; time.sleep(0.3)"))
    assert 200 < large.megabytes < 260
    assert small.megabytes < 60
    assert small.seconds > 0.3
    assert small.processor < small.seconds
    assert small.others >= 0


def test_a_run_sees_no_gpu_keeps_to_its_cores_and_a_failing_one_is_named():
    no_gpu = "os.environ['CUDA_VISIBLE_DEVICES'] != ''"
    launch(python(f"import os, sys; sys.exit({no_gpu} or len(os.sched_getaffinity(0)) != 1)"), cores=1)
    with pytest.raises(ModelError, match="ended with status 3"):
        launch(python("raise SystemExit(3)"))


def test_the_first_run_does_not_count(monkeypatch):
    times = iter([9.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(speed, "launch", lambda command: Launched(1.0, next(times), 0.0, 10.0))
    row = speed.time_command("x", ["x"], 3, (2.0, None))
    assert row.processor_seconds == [1.0, 2.0, 3.0]
    assert row.median == 2.0


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"processor_seconds": [4.0, 6.5, 9.0]}, False),
        ({"megabytes": 1600.0}, False),
        ({"megabytes": 1600.0, "most_megabytes": None}, True),
    ],
)
def test_the_commands_status_says_whether_limits_are_kept_by_median_and_peak(
    monkeypatch, tmp_path, capsys, changes, met
):
    row = replace(FAST, **changes)
    assert row.met is met
    monkeypatch.setattr(speed, "time_commands", lambda repeats: iter([row]))
    monkeypatch.setattr(speed, "machine", lambda: {"cores": 2, "system": "x", "cuda": "13.0"})
    with pytest.raises(SystemExit) as stop:
        main(["speed", "--out", str(tmp_path / "speed.json")])
    assert stop.value.code == (0 if met else 1)
    assert capsys.readouterr().out.startswith("ok" if met else "OVER")
    assert read_speed(tmp_path / "speed.json")[0] == [row]
    if not changes:
        text = to_markdown(tmp_path / "speed.json")
        assert "| `flowedit edit --preset draft` | 5.00 | 6 | 1200 | 1500 | 8.50 | 0.25 |" in text
        assert "2 of 2 cores, x, torch" in text
        assert "(CUDA build). Medians of 3 runs." in text
