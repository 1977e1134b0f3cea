"""Whole runs, offline: what lies in the folder, approval, resuming, refusals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agent_clips import cut_clip, picture, static_clip, static_source, write_clip
from fresh import fresh
from PIL import Image

from flowedit.agent.events import read_record
from flowedit.agent.result import read_result
from flowedit.agent.run import leave_waiting, style_or_reuse, style_video
from flowedit.agent.sample import frames_source
from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.agent.state import Decision
from flowedit.agent.stylers import LOOKS
from flowedit.errors import AgentError, OutputError, SettingError, VideoFileError, VideoShapeError
from flowedit.media.images import read_image, write_image

OIL, PENCIL = (StyleSettings(style=name, backend="offline") for name in ("oil", "pencil"))
NODES = ("sample", "select_keyframes", "analyze_style", "plan", "style_keyframe", "judge", "approve", "export")


def test_a_run_leaves_keyframes_a_manifest_and_a_record(tmp_path):
    result = style_video(static_source(), OIL, tmp_path / "run")
    assert result.status == "done"
    assert result.indices == (0, 8, 16)
    manifest = json.loads((tmp_path / "run" / "keyframes.json").read_text())
    assert [row["slot"] for row in manifest["keyframes"]] == [0, 2, 4]
    assert (manifest["num_frames"], manifest["start"], manifest["fps"]) == (17, 0, 8.0)
    for row, image in zip(manifest["keyframes"], result.images, strict=True):
        assert np.array_equal(read_image(tmp_path / "run" / row["file"]), image)
        assert image.shape == (96, 160, 3)
        assert row["verdict"]["faults"] == []
    assert "oil painting" in result.prompt
    events = read_record(tmp_path / "run").events
    assert tuple(dict.fromkeys(event.node for event in events)) == NODES
    assert sorted(event.keyframe for event in events if event.node == "style_keyframe") == [0, 8, 16]
    (judged,) = (event.values["verdicts"] for event in events if event.node == "judge")
    assert [(verdict["index"], verdict["attempt"]) for verdict in judged] == [(0, 0), (8, 0), (16, 0)]
    for event in events:
        assert all((tmp_path / "run" / name).is_file() for name in event.images)
        assert bool(event.images) == (event.node in ("select_keyframes", "style_keyframe", "approve", "export"))


def test_two_runs_give_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        style_video(static_source(5), replace(OIL, seed=seed), tmp_path / name)
    for file in ("keyframes.json", "keyframes/0000.png", "keyframes/0004.png"):
        one, again, other = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert one == again
        assert one != other


def test_a_file_is_styled_within_its_window(tmp_path):
    video = write_clip(tmp_path / "clip.mp4", static_clip(num_frames=30))
    result = style_video(video, replace(PENCIL, start=9, num_frames=17), tmp_path / "run")
    assert result.metadata["start"] == 9
    assert result.indices[-1] == 16
    with pytest.raises(VideoShapeError, match="17 or 21"):
        style_video(video, replace(PENCIL, num_frames=18), tmp_path / "other")
    with pytest.raises(SettingError, match="use 29 frames or start earlier"):
        style_video(video, replace(PENCIL, num_frames=33), tmp_path / "other")


def test_every_shot_gets_a_keyframe_in_the_look_that_words_choose(tmp_path):
    source = frames_source(cut_clip(), fps=24, name="cuts")
    settings = StyleSettings(describe="like an old sepia photograph", backend="offline")
    result = style_video(source, settings, tmp_path / "run")
    assert result.indices == (0, 12, 32)
    assert result.metadata["style"]["look"] == "vintage"


def test_a_person_can_refuse(tmp_path):
    result = style_video(static_source(), OIL, tmp_path / "run", approver=lambda request: Decision(approve=False))
    assert result.status == "rejected"
    assert not (tmp_path / "run" / "keyframes.json").exists()


def test_a_folder_of_anything_else_is_refused(tmp_path):
    run, mine = tmp_path / "run", tmp_path / "mine"
    style_video(static_source(), OIL, run, approver=leave_waiting)
    for source, settings in ((static_source(), PENCIL), (static_source(seed=5), OIL)):
        with pytest.raises(OutputError, match="unfinished run of another clip or other settings"):
            style_video(source, settings, run)
    style_video(static_source(), OIL, run)
    with pytest.raises(OutputError, match="already holds a finished styling run"):
        style_video(static_source(), OIL, run)
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputError, match=r"already holds other files \(thesis.txt\)"):
        style_video(static_source(), OIL, mine)
    with pytest.raises(OutputError, match="Cannot write"):
        style_video(static_source(5), OIL, mine / "thesis.txt" / "run")
    with pytest.raises(AgentError, match="No styling run in"):
        read_result(mine)


def test_a_second_run_at_the_same_time_is_refused(tmp_path):
    def approver(request):
        with pytest.raises(OutputError, match="in use by process"):
            style_video(static_source(), OIL, tmp_path / "run")
        return Decision()

    assert style_video(static_source(), OIL, tmp_path / "run", approver=approver).status == "done"


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ({"describe": "cubism"}, AgentError, r"no look matches .*name one of anime, comic, neon"),
        ({"style": "cubism"}, SettingError, 'No look is named "cubism"; choose one of anime, comic'),
        ({"style": "transfer"}, SettingError, "give a style image"),
        ({"style_image": Path("gone.png")}, VideoFileError, "No picture at gone.png"),
        ({}, SettingError, "No style given"),
    ],
)
def test_a_style_that_nobody_can_paint_is_refused_and_leaves_no_folder(tmp_path, wanted, error, message):
    with pytest.raises(error, match=message):
        style_video(static_source(5), StyleSettings(**wanted, backend="offline"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_style_image_is_read_in_any_form_or_refused(tmp_path):
    coffee = picture("coffee", (300, 400))
    Image.fromarray(np.dstack([coffee, np.full(coffee.shape[:2], 200, np.uint8)])).save(tmp_path / "alpha.png")
    write_image(tmp_path / "huge.jpg", np.tile(coffee, (12, 12, 1)))
    write_image(tmp_path / "tiny.png", coffee[:4, :4])
    (tmp_path / "words.png").write_text("no picture")

    def run(name):
        settings = StyleSettings(style_image=tmp_path / name, backend="offline")
        return style_video(static_source(5), settings, tmp_path / f"run-{name}")

    for name in ("alpha.png", "huge.jpg"):
        result = run(name)
        assert result.metadata["style"]["look"] == "transfer"
        assert result.images[0][..., 0].mean() > result.images[0][..., 2].mean() + 40
    assert max(read_image(tmp_path / "run-huge.jpg" / "reference.png").shape) == 1024
    with pytest.raises(SettingError, match=r"4x4 pixels; a style image needs 8"):
        run("tiny.png")
    with pytest.raises(VideoFileError, match="not a picture"):
        run("words.png")


@pytest.mark.parametrize(("name", "most_mb"), [("large.jpg", 60), ("grey16.png", 160)])
def test_a_large_style_image_is_shrunk_while_it_is_read(tmp_path, name, most_mb):
    """Catches float copies of a picture at full size (110 MB for each channel here), which is shrunk anyway."""
    size = 3600
    tile = np.kron(picture("coffee", (60, 60)), np.ones((4, 4, 1), np.uint8))
    large = np.tile(tile, (size // 240, size // 240, 1))
    Image.fromarray(large[..., 0].astype(np.uint16) * 257 if "16" in name else large).save(tmp_path / name)
    script = (
        "import resource, sys; from pathlib import Path; from flowedit.agent.painting import read_style_image\n"
        "from flowedit.agent.settings import StyleSettings\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak(); image = read_style_image(StyleSettings(style_image=Path(sys.argv[1])))\n"
        "print(*image.shape, image.mean(), peak() - before)"
    )
    height, width, _, mean, megabytes = map(float, fresh(script, tmp_path / name))
    assert (height, width) == (1024, 1024)
    assert mean == pytest.approx(tile[..., 0].mean() if "16" in name else tile.mean(), abs=1)
    assert megabytes < most_mb


def test_frames_larger_than_looks_are_painted_at_are_enlarged(tmp_path, monkeypatch):
    """Catches 4 GB and minutes for 2160 lines: marks grow with the frame, so they come out alike from fewer."""
    monkeypatch.setattr("flowedit.agent.painting.MOST_LINES", 48)
    seen, oil = [], LOOKS["oil"]
    whole = replace(oil, paint=lambda image, card, seed: (seen.append(image.shape), oil.paint(image, card, seed))[1])
    monkeypatch.setitem(LOOKS, "oil", whole)
    result = style_video(static_source(), OIL, tmp_path / "run")
    assert set(seen) == {(48, 80, 3)}
    assert {image.shape for image in result.images} == {(96, 160, 3)}
    assert result.notes == ("The keyframes are painted at 80x48 and enlarged to the video's 160x96.",)
    assert {row["note"] for row in result.metadata["keyframes"]} == {""}
    write_image(tmp_path / "coffee.png", picture("coffee", (300, 400)))
    settings = StyleSettings(style_image=tmp_path / "coffee.png", backend="offline")
    assert style_video(static_source(5), settings, tmp_path / "transfer").notes == ()


def test_a_look_can_be_painted_in_the_colours_of_a_style_image(tmp_path):
    write_image(tmp_path / "coffee.png", picture("coffee", (300, 400)))
    plain = style_video(static_source(5), StyleSettings(style="oil", backend="offline"), tmp_path / "plain")
    settings = StyleSettings(style="oil", style_image=tmp_path / "coffee.png", backend="offline")
    both = style_video(static_source(5), settings, tmp_path / "both")
    warmth = [image[..., 0].mean() - image[..., 2].mean() for image in (plain.images[0], both.images[0])]
    assert warmth[1] > warmth[0] + 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_fps": 0}, "above 0"),
        ({"target_fps": float("nan")}, "target_fps is nan; give a rate above 0"),
        ({"target_fps": float("inf")}, "target_fps is inf; give a rate above 0"),
        ({"max_frames": 1}, "2 or more"),
        ({"redo": -1}, "0 or more"),
        ({"backend": "x"}, "auto"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        StyleSettings(style="oil", **settings)
    for name in ("timeout_s", "backoff_s", "max_usd", "usd_per_million_in", "usd_per_million_out", "usd_per_image"):
        for value in (float("nan"), float("inf"), -1.0):
            with pytest.raises(SettingError, match=rf"^{name} is {value}; give a number of [\d.]+ or more\.$"):
                GeminiSettings(**{name: value})


def test_a_run_that_failed_before_any_work_makes_room_for_another(tmp_path, monkeypatch):
    """Catches a folder that refuses the right command because a wrong one died in it."""
    folder, cuts = tmp_path / "run", frames_source(cut_clip(), fps=24, name="cuts")
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr("flowedit.agent.nodes.choose_indices", lambda *given, **options: 1 // 0)
        style_video(static_source(seed=5), OIL, folder)
    assert style_video(cuts, PENCIL, folder).indices == (0, 12, 32)
    (first, *_) = read_record(folder).events
    assert (first.node, first.values["cuts"]) == ("sample", [10, 22])


def test_a_style_image_that_is_gone_is_one_line(tmp_path):
    """Catches a traceback where a finished run's folder is taken again."""
    write_clip(tmp_path / "clip.mp4", static_clip(5))
    write_image(tmp_path / "coffee.png", picture("coffee", (100, 100)))
    settings = StyleSettings(style_image=tmp_path / "coffee.png", backend="offline")
    style_or_reuse(tmp_path / "clip.mp4", settings, tmp_path / "run")
    kept = read_record(tmp_path / "run")
    (tmp_path / "coffee.png").unlink()
    with pytest.raises(VideoFileError, match=r"^No picture at .*coffee\.png; give the path"):
        style_or_reuse(tmp_path / "clip.mp4", settings, tmp_path / "run", replace=True)
    assert read_record(tmp_path / "run") == kept


def test_styling_loads_neither_torch_nor_the_network_client(tmp_path, capsys):
    script = (
        "import sys; from test_agent_run import OIL, static_source, style_video\n"
        f"style_video(static_source(5), OIL, {str(tmp_path / 'run')!r})\n"
        "print([name for name in ('torch', 'diffsynth', 'langchain_google_genai', 'anywidget') if name in sys.modules])"
    )
    assert fresh(script) == ["[]"]
    assert "unregistered" not in capsys.readouterr().err
