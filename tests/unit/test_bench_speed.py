"""The speed benchmark: what it times, and what it says and keeps of a limit that is not kept."""

from dataclasses import replace

import pytest

from benchmarks import speed
from benchmarks.__main__ import main
from benchmarks.launch import Launched
from benchmarks.speed import CommandTime, SpeedRecord

FAST = CommandTime(
    name="flowedit edit --preset draft",
    seconds=(4.0, 5.0, 9.0),
    processor_seconds=(8.0, 8.5, 9.0),
    others=(0.0, 0.25, 1.0),
    megabytes=1200.0,
    most_seconds=6.0,
    most_megabytes=1500.0,
)
RECORD = SpeedRecord(commands=[FAST], versions={"torch": "2.9"}, machine={"cores": 2, "system": "x", "cuda": "13.0"})


def test_the_first_run_does_not_count(monkeypatch):
    times = iter([9.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(speed, "launch", lambda command, cores: Launched(next(times), 1.0, 0.0, 10.0))
    row = speed._time_command("x", ["x"], 3, (2.0, None))
    assert row.seconds == (1.0, 2.0, 3.0)
    assert row.median == 2.0


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"seconds": (4.0, 6.5, 9.0)}, False),
        ({"megabytes": 1600.0}, False),
        ({"megabytes": 1600.0, "most_megabytes": None}, True),
    ],
)
def test_a_command_keeps_its_limits_by_median_and_peak(changes, met):
    assert replace(FAST, **changes).met is met


def test_the_record_comes_back_and_names_every_row_and_whose_limit_it_is(tmp_path):
    RECORD.write(tmp_path / "speed.json")
    assert SpeedRecord.read(tmp_path / "speed.json") == RECORD
    text = RECORD.to_markdown()
    assert "| `flowedit edit --preset draft` | 5.00 | 6 | 1200 | 1500 | 8.50 | 0.25 |" in text
    assert "CUDA build" in text
    assert "CPU build" in replace(RECORD, machine={"cores": 2, "system": "x", "cuda": None}).to_markdown()


@pytest.mark.parametrize(("most", "status", "word"), [(6.0, 0, "ok"), (4.0, 1, "OVER")])
def test_the_commands_status_says_whether_the_limits_are_kept(monkeypatch, tmp_path, capsys, most, status, word):
    monkeypatch.setattr(speed, "time_commands", lambda repeats: iter([replace(FAST, most_seconds=most)]))
    with pytest.raises(SystemExit) as stop:
        main(["speed", "--out", str(tmp_path / "speed.json")])
    assert stop.value.code == status
    assert capsys.readouterr().out.startswith(word)
    assert (tmp_path / "speed.json").exists()
