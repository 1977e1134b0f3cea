"""The readings of looks, their table and their sheet."""

import json
from dataclasses import asdict, replace

import pytest
from agent_clips import static_clip, write_clip
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.looks import LookReading, report_looks, to_markdown
from flowedit.errors import FlowEditError, ModelError
from flowedit.media.images import read_image

GOOD = LookReading(look="oil", keyframes=10, seconds=12.3, processor_seconds=20.4, megabytes=700.0, identical=True)


@pytest.mark.parametrize("over", [{"seconds": 20.1}, {"megabytes": 1001.0}, {"identical": False}])
def test_each_limit_of_a_look_counts(over):
    assert GOOD.met
    assert not replace(GOOD, **over).met


def test_the_table_holds_what_was_measured(tmp_path):
    """Catches an older record, which knows more, that can no longer be read."""
    held = {"clip": "clip.mp4 (320x180)", "looks": [{**asdict(GOOD), "worst": 1.2}]}
    (tmp_path / "looks.json").write_text(json.dumps(held))
    table = to_markdown(tmp_path / "looks.json")
    assert "| oil | 12.3 | 20.4 | 700 | yes |" in table
    assert table.startswith("10 keyframes of clip.mp4 (320x180)")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", static_clip(17))


def test_a_look_is_measured_as_the_command_line_runs_it(tmp_path, video):
    given = [str(video), "--only", "vintage", "--out", str(tmp_path / "looks.json")]
    done = CliRunner().invoke(app, ["looks", *given])
    (row,) = json.loads((tmp_path / "looks.json").read_text())["looks"]
    assert (row["look"], row["keyframes"], row["identical"]) == ("vintage", 5, True)
    assert row["processor_seconds"] > 1
    assert 100 < row["megabytes"] < 1000
    assert done.exit_code == (0 if LookReading(**row).met else 1), done.output
    assert f"| vintage | {row['seconds']:.1f} |" in done.output


def test_a_look_that_does_not_exist_or_fails_is_named(tmp_path, video):
    with pytest.raises(FlowEditError, match="cubism"):
        report_looks(video, print, ["cubism"], None, tmp_path / "looks.json")
    with pytest.raises(ModelError, match="transfer"):
        report_looks(video, print, ["transfer"], tmp_path / "none.png", tmp_path / "looks.json")


def test_the_sheet_shows_every_look(tmp_path, video):
    done = CliRunner().invoke(app, ["looks", str(video), "--sheet", str(tmp_path / "docs" / "looks.webp")])
    assert done.exit_code == 0, done.output
    height, width = read_image(tmp_path / "docs" / "looks.webp").shape[:2]
    assert height > 900
    assert width > 1000
