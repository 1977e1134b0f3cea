"""The demo leaves what it says it leaves, and the example runs as its page says."""

import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from small_tiny import random_pipeline
from test_cli import run

import flowedit
from flowedit.media.clip import probe, read_image, read_video, write_image, write_video
from flowedit.run import editing
from flowedit.wan.adapter import Trained, WanVideo

EXAMPLE = Path(__file__).parents[2] / "examples" / "edit_clip.py"
SIZE = (288, 432)
"""Of the smaller of both clips."""


def untrained(name="tiny", **_):
    """The same architecture with random weights and four channels: a run takes seconds."""
    return WanVideo(random_pipeline(0), name=name, trained=Trained(refines=True))


def test_the_demo_leaves_a_sheet_and_a_report_where_it_says(tmp_path, monkeypatch, capsys):
    """Catches a printed path that nothing was written to, and a demo without its own inputs."""
    monkeypatch.setattr(editing, "load_model", untrained)
    folder = tmp_path / "shown"
    assert run("demo", "-o", folder, "--clip", "coffee", "--style", "comic") == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.suffix for path in printed] == [".html", ".png"]
    assert all(path.is_file() and path.parent == folder for path in printed)
    assert "<!doctype html>" in printed[0].read_text()[:100].lower()
    sheet = read_image(printed[1])
    assert sheet.shape[0] > 100
    assert sheet.std() > 20, "the sheet is blank"
    source = probe(folder / "inputs" / "source.mp4")
    assert (source.num_frames, source.height, source.width) == (49, *SIZE)
    assert len(list((folder / "inputs" / "keyframes").glob("*.png"))) == 3
    assert probe(folder / "edited.mp4").num_frames == 33


def test_a_second_demo_in_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "run.json").write_text("{}")
    assert run("demo", "-o", tmp_path) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_example_edits_a_clip_beside_itself(tmp_path, monkeypatch, capsys):
    """Catches a name of the package that changed under the example."""
    monkeypatch.setattr(flowedit, "load_model", untrained)
    rng = np.random.default_rng(1)
    frames = np.kron(rng.integers(0, 256, (21, 8, 8, 3), dtype=np.uint8), np.ones((1, 8, 8, 1), np.uint8))
    write_video(tmp_path / "clip.mp4", frames, Fraction(30000, 1001))
    images = [tmp_path / f"frame-{index:04d}.png" for index in (0, 16)]
    for path, index in zip(images, (0, 16), strict=True):
        write_image(path, 255 - frames[index])
    main = runpy.run_path(str(EXAMPLE))["main"]
    main(str(tmp_path / "clip.mp4"), *map(str, images))
    assert capsys.readouterr().out.startswith("Step 0: r_k=")
    info = probe(tmp_path / "clip-edited.mp4")
    assert (info.num_frames, info.fps) == (21, Fraction(30000, 1001))
    first = read_video(tmp_path / "clip-edited.mp4").frames[0].astype(float)
    source, wanted = (np.kron(image, np.ones((2, 2, 1))) for image in (frames[0], 255 - frames[0]))
    assert np.abs(first - wanted).mean() < np.abs(first - source).mean()
    with pytest.raises(SystemExit, match="is there already"):
        main(str(tmp_path / "clip.mp4"), *map(str, images))
