"""The speed benchmark: what it times, what it predicts, and what it says and writes about a limit that is not kept."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import speed, speed_report
from benchmarks.__main__ import main
from benchmarks.launch import Launched
from benchmarks.speed import CommandTime, StepTime, common_rate, time_steps
from benchmarks.speed_report import SpeedRecord, report_speed, to_page, two_cores
from flowedit.models import load_model
from flowedit.tiny.load import random_pipeline
from flowedit.wan.adapter import WanVideo

FAST = CommandTime(
    name="flowedit edit --preset draft",
    seconds=(4.0, 5.0, 9.0),
    processor_seconds=(8.0, 8.5, 9.0),
    others=(0.0, 0.25, 1.0),
    megabytes=1200.0,
    most_seconds=6.0,
    most_megabytes=1500.0,
)
STEP = StepTime(frames=33, keyframes=3, tokens=768, seconds=0.21, predicted=0.2)
RECORD = SpeedRecord(
    commands=[FAST], steps=[STEP], versions={"torch": "2.9"}, machine={"cores": 2, "system": "x", "cuda": "13.0"}
)


def test_the_first_run_does_not_count():
    times = iter([9.0, 1.0, 2.0, 3.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "launch", lambda command: Launched(next(times), 1.0, 0.0, 10.0))
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


@pytest.mark.parametrize(("seconds", "met"), [(0.229, True), (0.171, True), (0.231, False), (0.169, False)])
def test_a_step_may_lie_fifteen_percent_off_either_way(seconds, met):
    assert replace(STEP, seconds=seconds).met is met


def test_steps_grow_with_frames_and_with_keyframes_and_are_predicted_by_their_tokens(monkeypatch):
    """Catches keyframes that never join the sequence, tokens miscounted, and a prompt that grows with the clip."""
    monkeypatch.setattr(speed, "FRAMES", (5, 17))
    monkeypatch.setattr(speed, "KEYFRAMES", (1, 9))
    clock = {"now": 0.0}
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock["now"])
    model = WanVideo(random_pipeline(0))
    velocity, blocks = model.velocity, model.pipe.dit.blocks
    weights = sum(p.numel() for name, p in blocks.named_parameters() if ".cross_attn.k." not in name)
    weights -= sum(p.numel() for name, p in blocks.named_parameters() if ".cross_attn.v." in name)
    seen = []

    def timed(latents, sigma, prepared, ids):
        f, h, w = latents.shape[2:]
        tokens = f * (h // 2) * (w // 2)
        seen.append((f, len(ids)))
        attention = 2 * len(blocks) * model.pipe.dit.dim * tokens * (tokens + prepared.positive.shape[1])
        clock["now"] += 0.02 + 1e-9 * (tokens * weights + attention)
        return velocity(latents, sigma, prepared, ids)

    monkeypatch.setattr(model, "velocity", timed)
    rows = time_steps(model, size=(32, 32), repeats=1)
    assert [(row.frames, row.keyframes, row.tokens) for row in rows] == [
        (5, 0, 8),
        (17, 0, 20),
        (33, 1, 40),
        (33, 9, 72),
    ]
    assert set(seen) == {(1, 1), (2, 2), (5, 5), (10, 10), (18, 18)}
    assert np.allclose([row.deviation for row in rows], 0, atol=1e-6)


def test_the_common_rate_errs_as_much_above_as_below():
    seconds, operations = np.array([2.2, 3.0, 2.8, 4.6]), np.array([1.0, 2.0, 2.0, 4.0])
    errors = seconds / (1.0 + common_rate(seconds, operations, 1.0) * operations) - 1
    assert errors.max() == pytest.approx(-errors.min(), abs=1e-3)
    assert errors.max() < 0.095


def test_the_record_comes_back_from_its_json():
    assert SpeedRecord.from_json(RECORD.to_json()) == RECORD


def test_the_table_names_every_row_and_whose_limit_it_is():
    text = to_page(RECORD)
    assert "| `flowedit edit --preset draft` | 5.00 | 6 | 1200 | 1500 | 8.50 | 0.25 |" in text
    assert "| 33 | 3 | 768 | 210 | 200 | +5.0% |" in text
    assert "CUDA build" in text
    assert "CPU build" in to_page(replace(RECORD, machine={"cores": 2, "system": "x", "cuda": None}))


def test_everything_is_measured_said_and_kept(monkeypatch, tmp_path):
    over = replace(STEP, seconds=0.5)
    monkeypatch.setattr(speed_report, "time_commands", lambda repeats: iter([FAST]))
    monkeypatch.setattr(speed_report, "time_steps", lambda model, repeats: [STEP, over])
    said = []
    record = report_speed(said.append, lambda: None, store=tmp_path / "speed.json")
    assert [line[:4] for line in said] == ["ok  ", "ok  ", "OVER"]
    assert not record.met
    assert SpeedRecord.from_json((tmp_path / "speed.json").read_text()) == record


def test_two_cores_are_used_and_then_all_of_them_again(monkeypatch):  # catches: the rest of a session left on two
    asked = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 6, 7}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: asked.append(set(cores)), raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with two_cores():
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert asked == [{3, 5}, {3, 5, 6, 7}]


@pytest.mark.parametrize(("seconds", "status"), [(0.21, 0), (0.5, 1)])
def test_the_commands_status_says_whether_the_limits_are_kept(monkeypatch, tmp_path, seconds, status):
    monkeypatch.setattr(speed_report, "time_commands", lambda repeats: iter([FAST]))
    monkeypatch.setattr(speed_report, "time_steps", lambda model, repeats: [replace(STEP, seconds=seconds)])
    with pytest.raises(SystemExit) as stop:
        main(["speed", "--out", str(tmp_path / "speed.json")])
    assert stop.value.code == status


def test_the_small_model_can_be_timed():
    rows = time_steps(load_model("tiny", device="cpu"), size=(32, 32), repeats=1)
    assert len(rows) == len(speed.FRAMES) + len(speed.KEYFRAMES)
    assert all(row.seconds > 0 for row in rows)
