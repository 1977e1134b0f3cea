"""`flowedit edit --style`: both steps in one go, and again after a kill; what it says, spends and refuses."""

import json
import re

import pytest
from agent_clips import static_clip, write_clip
from agent_server import answers_for_gemini, error, is_drawing, serving
from small_tiny import random_pipeline
from test_cli import run

from flowedit.estimate import CLASSICAL
from flowedit.run import editing
from flowedit.wan.adapter import Trained, WanVideo

NO_KEY = "No Gemini key in GOOGLE_API_KEY; the keyframes are painted offline."
REFUSED = "The Gemini key in GOOGLE_API_KEY was refused (401); the rest of the run is done offline."


@pytest.fixture
def video(tmp_path):
    return write_clip(tmp_path / "clip.mp4", static_clip(17, (64, 96)))


def edit(video, *more, style="watercolour", method="colour-map"):
    """An edit by a method that asks no model, unless one is given."""
    given = ("--style", style, "-o", video.parent / "out", "--method", method, "--size", "64x96")
    return run("edit", video, *given, *more)


def made(video, name="run.json"):
    return json.loads((video.parent / "out" / name).read_text())


def page(video):
    return (video.parent / "out" / "report.html").read_text()


def test_both_steps_in_one_go(video, capsys, monkeypatch):
    """By the small model, untrained; the styler's own words are not held against the user, the user's are."""
    model = WanVideo(random_pipeline(0), name="tiny", trained=Trained(refines=True))
    monkeypatch.setattr(editing, "load_model", lambda name, **_: model)
    assert edit(video, "--steps", 1, "--cfg", 2, method="refine") == 0
    manifest = made(video, "style/keyframes.json")
    assert [row["index"] for row in manifest["keyframes"]] == [0, 8, 16]
    assert manifest["num_frames"] == 17
    prompts = "prompt", "negative_prompt"
    assert [made(video)["settings"][name] for name in prompts] == [manifest[name] for name in prompts]
    assert manifest["negative_prompt"] != ""
    assert {"edited.mp4", "report.html", "contact-sheet.png"} <= {p.name for p in (video.parent / "out").iterdir()}
    assert "does not know" not in capsys.readouterr().err + page(video)
    own = "--prompt", "a zyzzyva, watercolour", "--negative-prompt", "red"
    assert edit(video, "--steps", 1, "--overwrite", *own, method="refine") == 0
    assert made(video)["settings"]["negative_prompt"] == "red"
    assert "advice: The small model does not know 'zyzzyva': ignored." in capsys.readouterr().err
    assert "zyzzyva" in page(video)


def test_the_same_edit_again_takes_the_keyframes_that_are_there(video, monkeypatch):
    """Catches an edit that was killed and cannot be repeated, and one that pays for its keyframes twice."""
    with serving() as server:
        answers_for_gemini(server, monkeypatch)
        with monkeypatch.context() as killed:
            killed.setitem(CLASSICAL, "colour-map", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            assert edit(video) == 130
        paid = server.calls
        assert sum(is_drawing(request) for _, request in server.requests) == 3
        assert edit(video) == 0
        assert edit(video, "--overwrite", "--seed", 3) == 0
        assert server.calls == paid
    assert {row["by"] for row in made(video, "style/keyframes.json")["keyframes"]} == {"gemini-3.1-flash-image"}


def test_another_style_in_the_same_folder_needs_to_be_told(video, capsys):
    assert edit(video) == 0
    assert edit(video, style="pencil") == 2
    assert "already holds a run" in capsys.readouterr().err
    assert edit(video, "--overwrite", style="pencil") == 0
    assert made(video, "style/keyframes.json")["style"]["look"] == "pencil"


def test_what_styling_says_of_itself_is_said_by_the_edit(video, capsys):
    """Catches an edit whose keyframes were painted by something else than asked for, with no word of it."""
    assert edit(video, "--backend", "gemini") == 0
    assert capsys.readouterr().err.count(f"note: {NO_KEY}") == 1
    assert made(video)["styling"]["notes"] == [NO_KEY]
    assert page(video).count(NO_KEY) == 1
    assert edit(video, "--backend", "offline", "--overwrite") == 0
    assert "note:" not in capsys.readouterr().err
    assert made(video)["styling"]["notes"] == []


def test_a_wrong_key_and_no_network_are_one_sentence_each(video, capsys, monkeypatch):
    with serving(lambda request: error(401, "bad key")) as server:
        answers_for_gemini(server, monkeypatch)
        assert edit(video) == 0
    said = capsys.readouterr()
    assert said.err.count("note:") == said.err.count(f"note: {REFUSED}") == 1
    assert "Gemini: 1 call, about 0.00 USD" in said.out
    assert edit(video, "--overwrite", style="pencil") == 0
    said = capsys.readouterr()
    assert said.err.count("note:") == said.err.count("note: Gemini cannot be reached (") == 1


def test_an_edit_spends_no_more_than_it_may_and_says_what_it_spent(video, capsys, monkeypatch):
    with serving() as server:
        answers_for_gemini(server, monkeypatch)
        assert edit(video, "--max-usd", "0.0001") == 0
        assert server.calls == 0
        assert "note: Gemini is not called any more: the next Gemini call may cost" in capsys.readouterr().err
        assert edit(video, "--overwrite", style="pencil") == 0
    assert re.search(r"Gemini: 5 calls, about 0\.\d\d USD", capsys.readouterr().out)
    assert made(video)["styling"]["usage"]["calls"] == 5
    assert re.search(r"<p>Gemini: 5 calls, about 0\.\d\d USD\.</p>", page(video))
    assert edit(video, "--overwrite", style="pencil") == 0
    styled = video.parent / "out" / "style"
    earlier = f"note: These keyframes are an earlier run's; delete {styled} to have them painted"
    assert earlier in capsys.readouterr().err


def test_an_edit_starts_from_a_styled_folder_and_warns_of_another_video(video, capsys):
    other = write_clip(video.parent / "other.mp4", static_clip(17, (64, 96), seed=7))
    styled = video.parent / "styled"
    assert run("style", video, "--style", "pencil", "--yes", "-o", styled) == 0
    given = ("-k", styled, "--method", "colour-map", "--size", "64x96")
    capsys.readouterr()
    assert run("edit", video, "-o", video.parent / "out", *given) == 0
    assert "pencil sketch" in made(video)["settings"]["prompt"]
    assert "another video" not in capsys.readouterr().err
    assert run("edit", other, "-o", video.parent / "else", *given) == 0
    warned = f"warning: The keyframes in {styled} were painted from another video (clip.mp4) than {other};"
    assert capsys.readouterr().err.count(warned) == 1
    assert run("edit", video, "-o", video.parent / "third", "--frames", 9, *given) == 2
    window = "was styled for 17 frames from frame 0; leave out --at, --start, --every and --frames"
    assert window in capsys.readouterr().err


def test_a_style_that_is_refused_leaves_no_folder(video, capsys):
    assert edit(video, style="cubism") == 2
    assert 'No look is named "cubism"' in capsys.readouterr().err
    assert edit(video, "--max-usd", "nan") == 2
    assert "flowedit: max_usd is nan; give a number of 0 or more." in capsys.readouterr().err
    assert run("edit", video, "--style-image", video.parent / "gone.png", "-o", video.parent / "out") == 2
    said = capsys.readouterr().err
    assert said.startswith("flowedit: No picture at")
    assert said.count("\n") == 1
    assert not (video.parent / "out").exists()


def test_several_processes_take_keyframes_and_paint_none(video, capsys, monkeypatch):
    """Catches every process of a `torchrun` that paints, and pays for, the same keyframes."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert edit(video) == 2
    assert "Run `flowedit style` first" in capsys.readouterr().err
    assert not (video.parent / "out").exists()
