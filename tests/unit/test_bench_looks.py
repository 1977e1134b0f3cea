"""The readings of looks and widgets, and their tables."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from agent_clips import static_clip, write_clip
from typer.testing import CliRunner

from benchmarks import looks
from benchmarks.__main__ import app
from benchmarks.looks import LookReading, report_looks, still_frames, to_markdown
from benchmarks.widgets import to_markdown as widgets_table
from flowedit.errors import FlowEditError, ModelError
from flowedit.media.images import read_image

GOOD = LookReading(
    look="oil",
    keyframes=10,
    seconds=12.3,
    processor_seconds=20.4,
    megabytes=700.0,
    identical=True,
    pixels=1.2,
    worst=1.25,
    beside=1.28,
)


@pytest.mark.parametrize(
    "over",
    [
        {"seconds": 20.1},
        {"megabytes": 1001.0},
        {"worst": 1.31},
        {"identical": False},
    ],
)
def test_each_limit_of_a_look_counts(over):
    assert GOOD.met
    assert not replace(GOOD, **over).met


@pytest.fixture
def store(tmp_path):
    """Writes readings as a record."""

    def write(*readings):
        path = tmp_path / "looks.json"
        path.write_text(json.dumps({"clip": "clip.mp4 (320x180)", "looks": [asdict(one) for one in readings]}))
        return path

    return write


def test_what_lies_beside_the_moving_object_is_said_and_has_no_limit(store):
    over = replace(GOOD, beside=2.1)
    assert over.met
    assert "Beside the moving object, where no limit is set, more than 1.3: oil (2.10)." in to_markdown(store(over))
    assert "Beside the moving object, where" not in to_markdown(store(GOOD))


def test_the_made_clip_stands_still_but_for_the_ball():
    """Catches a steadiness that is read on a camera that drifts."""
    first, again = (next(still_frames()) for _ in range(2))
    last = list(still_frames())[-1]
    assert np.array_equal(first, again)
    assert first.shape == (720, 1280, 3)
    apart = np.abs(first.astype(int) - last).max(axis=2) > 12
    assert apart[:450].mean() < 1e-4
    assert 0.002 < apart.mean() < 0.02


def test_tables_hold_what_was_measured(store, tmp_path):
    table = to_markdown(store(GOOD))
    assert "| oil | 12.3 | 20.4 | 700 | yes | 1.20 | 1.25 | 1.28 |" in table
    assert table.startswith("10 keyframes of clip.mp4 (320x180)")
    (tmp_path / "w.json").write_text(json.dumps([{"name": "paint", "value": 12.34, "limit": 16, "unit": "ms"}]))
    assert "| paint | 12.3 ms | 16 ms |" in widgets_table(tmp_path / "w.json")


@pytest.fixture
def small_still_clip(monkeypatch):
    monkeypatch.setattr(looks, "STILL_SIZE", (180, 320))


@pytest.mark.usefixtures("small_still_clip")
def test_a_look_is_measured_as_the_command_line_runs_it(tmp_path):
    video = write_clip(tmp_path / "clip.mp4", static_clip(17))
    given = [str(video), "--only", "vintage", "--out", str(tmp_path / "looks.json")]
    done = CliRunner().invoke(app, ["looks", *given])
    (row,) = json.loads((tmp_path / "looks.json").read_text())["looks"]
    assert (row["look"], row["keyframes"], row["identical"]) == ("vintage", 5, True)
    assert row["processor_seconds"] > 1
    assert 100 < row["megabytes"] < 1000
    assert done.exit_code == (0 if LookReading(**row).met else 1), done.output
    assert f"| vintage | {row['seconds']:.1f} |" in done.output


@pytest.mark.usefixtures("small_still_clip")
def test_without_a_video_the_made_clip_is_measured_and_a_run_that_fails_is_named(tmp_path):
    said = []
    assert report_looks(None, said.append, looks=["vintage"], store=tmp_path / "looks.json") in (True, False)
    assert said[-1].startswith("10 keyframes of a made clip of a static camera (320x180)")
    with pytest.raises(FlowEditError, match="cubism"):
        report_looks(None, said.append, looks=["cubism"], store=tmp_path / "looks.json")
    with pytest.raises(ModelError, match="transfer"):
        report_looks(None, said.append, looks=["transfer"], style_image=tmp_path / "no.png", store=tmp_path / "x.json")


def test_the_sheet_shows_every_look(tmp_path):
    video = write_clip(tmp_path / "clip.mp4", static_clip(17))
    done = CliRunner().invoke(app, ["looks", str(video), "--sheet", str(tmp_path / "docs" / "looks.png")])
    assert done.exit_code == 0, done.output
    height, width = read_image(tmp_path / "docs" / "looks.png").shape[:2]
    assert height > 900
    assert width > 1000
