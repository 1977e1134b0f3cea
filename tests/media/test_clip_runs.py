"""What a run does with clips as people have them: said before the work, kept in the result."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from footage import beeps_in, make, number_of, numbered
from test_sound import pitch_of, with_tracks
from test_timing import LENGTHS, TIMES

from flowedit.errors import KeyframeError, OutputError, SettingError, VideoFileError, VideoShapeError
from flowedit.media.clip import probe, read_image, read_video, write_image, write_video
from flowedit.run.inputs import read_inputs
from flowedit.run.job import run_edit
from flowedit.run.request import EditRequest
from flowedit.runfolder import LOCK, claimed
from flowedit.settings import EditSettings

SETTINGS = EditSettings(method="colour-map")


def request(path, **changes):
    """An edit that changes nothing: its keyframes are the clip's own frames 0 and 4."""
    frames = read_video(path, num_frames=5).frames
    keyframes = []
    for index in (0, 4):
        write_image(path.parent / f"key-{index}.png", frames[index])
        keyframes.append((index, path.parent / f"key-{index}.png"))
    given = {"keyframes": keyframes, "output": path.parent / "out", "settings": SETTINGS, "size": (32, 64), **changes}
    return EditRequest(video=path, **given)


def test_a_varying_rate_goes_through_a_run_and_is_kept(tmp_path):
    path = make(tmp_path / "phone.mp4", "libx264", len(LENGTHS), times=TIMES, rate=30, sound="aac")
    outcome = run_edit(request(path, num_frames=25, frames_out="gif", lossless=True))
    made = read_video(outcome.folder / "edited.mp4")
    expected = [float(time) for time in TIMES[:26]]
    assert [float(time) for time in made.times] == pytest.approx(expected, abs=0.0011)
    assert [row["seconds"] for row in outcome.manifest["frame_map"]] == pytest.approx(expected[:-1], abs=0.0011)
    assert beeps_in(outcome.folder / "edited.mp4") == pytest.approx([0.5], abs=0.005)
    animated = read_video(outcome.folder / "edited.gif")
    assert [float(time) for time in animated.times] == pytest.approx(expected, abs=0.0051)
    assert float(read_video(outcome.folder / "comparison.mp4").times[-1]) == pytest.approx(expected[-1], abs=0.002)


def test_pictures_go_in_and_come_out(tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in range(9):
        write_image(folder / f"shot.{number}.png", numbered(number))
    outcome = run_edit(request(folder, fps=12, frames_out="png"))
    written = sorted((outcome.folder / "frames").iterdir())
    assert [path.name for path in written] == [f"frame-{i:04d}.png" for i in range(9)]
    assert [number_of(read_image(path)) for path in written] == list(range(9))
    info = probe(outcome.folder / "edited.mp4")
    assert (info.fps, info.has_audio, info.num_frames) == (12, False, 9)
    assert len(outcome.manifest["source"]["sha256"]) == 64
    again = run_edit(request(folder, fps=12, overwrite=True))
    assert not (again.folder / "frames").exists(), "an earlier run's frames beside a new run"


@pytest.mark.parametrize(
    ("audio", "unknown", "said", "heard"),
    [("auto", (), None, 400), ("2", (), "sound: track 2", 1000), ("auto", (0, 1, 2), "no track can be decoded", None),
     ("none", (), None, None), ("auto", (0,), "sound: track 2", 1000)],
)  # fmt: skip
def test_the_sound_is_chosen_before_the_work_and_said(tmp_path, audio, unknown, said, heard):
    path = with_tracks(tmp_path / "a.mkv", unknown=unknown)
    asked = request(path, audio=audio, num_frames=17)
    notes = [note for note in read_inputs(asked).notes if "sound" in note]
    assert [note for note in notes if said is None or said not in note] == []
    assert bool(notes) == (said is not None)
    edited = run_edit(asked).folder / "edited.mp4"
    assert probe(edited).has_audio == (heard is not None)
    if heard is not None:
        assert pitch_of(edited) == heard


@pytest.mark.parametrize(("audio", "error"), [("4", SettingError), ("left", SettingError), ("1", VideoFileError)])
def test_sound_that_cannot_be_is_refused_before_the_work(tmp_path, audio, error):
    path = with_tracks(tmp_path / "a.mkv", unknown=(0,))
    with pytest.raises(error, match=r"audio|sound"):
        read_inputs(request(path, audio=audio, num_frames=17))


def test_what_is_decided_for_the_user_is_said(tmp_path):
    """A cut inside the window, a keyframe of a third size, and untagged colours."""
    rng = np.random.default_rng(0)
    shots = rng.integers(0, 256, (2, 4, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    write_video(tmp_path / "cut.mp4", np.concatenate([shots[:1]] * 9 + [shots[1:]] * 8), 25)
    asked = request(tmp_path / "cut.mp4")
    write_image(tmp_path / "key-4.png", np.zeros((128, 256, 3), np.uint8))
    said = read_inputs(asked).summary()
    assert "64x32 edited at 64x32, written at 64x32; keyframes at 0 (key-0.png), 4 (key-4.png)" in said[0]
    assert "Keyframe 4 (key-4.png) is 256x128 and resized to 64x32" in said
    assert any(line.startswith("a new shot begins at frame 9 of the file:") for line in said)
    said = read_inputs(replace(asked, start=1, every=2, num_frames=5, keyframes=asked.keyframes[:1])).notes
    assert any(line.startswith("a new shot begins at frame 9 of the file:") for line in said)
    make(tmp_path / "untagged.mp4", "mpeg4", 5)
    assert any("untagged" in line for line in read_inputs(request(tmp_path / "untagged.mp4")).summary())


def test_every_nth_frame_is_edited_at_its_own_time(tmp_path):
    """Of a clip of 60 frames a second every fourth: the picture lasts until the next one, and the sound goes on."""
    path = make(tmp_path / "fast.mp4", "libx264", 61, rate=60, sound="aac")
    marked = np.zeros((61, 32, 64, 3), np.uint8)
    marked[np.arange(61) % 4 > 0] = 255
    write_video(tmp_path / "mask.mp4", marked, 60, lossless=True)
    outcome = run_edit(request(path, every=4, start=4, num_frames=13, mask=tmp_path / "mask.mp4", lossless=True))
    made = read_video(outcome.folder / "edited.mp4")
    assert [number_of(frame) for frame in made.frames] == [*range(4, 56, 4)]
    assert made.times == tuple(Fraction(i, 15) for i in range(14))
    assert beeps_in(outcome.folder / "edited.mp4") == pytest.approx([0.5 - 4 / 60], abs=0.005)
    assert [row["source_frame"] for row in outcome.manifest["frame_map"]] == [*range(4, 56, 4)]
    assert "every 4. frame is edited, the others are left out" in outcome.manifest["notes"]
    again = request(path, every=4, start=4, num_frames=13, mask=tmp_path / "mask.mp4", overwrite=True)
    assert (read_inputs(again).mask == 0).all()
    with pytest.raises(SettingError, match="A GIF holds 100 frames a second at most"):
        read_inputs(request(path, overwrite=True, num_frames=9, fps=120, frames_out="gif"))
    for wrong in ({"num_frames": 17}, {"every": 0}):
        with pytest.raises(VideoShapeError):
            read_inputs(request(path, overwrite=True, **{"every": 4, "start": 4, **wrong}))


def test_keyframes_of_another_shape_are_cut_or_filled_up_when_told(tmp_path):
    """Tools that answer in a square paint a border around, or cut the sides off."""
    path = make(tmp_path / "a.mp4", "libx264", 9)
    source = read_video(path).frames
    bordered = np.full((64, 64, 3), 7, np.uint8)
    bordered[16:48] = 255 - source[0]
    cut = 255 - source[0][:, 16:48]
    for how, picture, told in (("crop", bordered, "64x64 and cut"), ("pad", cut, "32x32 and laid on its source frame")):
        asked = request(path)
        write_image(tmp_path / "key-0.png", picture)
        with pytest.raises(KeyframeError, match="say with --crop or --pad"):
            read_inputs(asked)
        with pytest.raises(SettingError, match="Give one"):
            read_inputs(replace(asked, crop=True, pad=True))
        inputs = read_inputs(replace(asked, **{how: True}))
        expected = 255 - source[0]
        if how == "pad":
            expected[:, :16], expected[:, 48:] = source[0][:, :16], source[0][:, 48:]
        assert np.array_equal(inputs.full_keyframes[0].image, expected)
        assert np.array_equal(inputs.full_keyframes[1].image, source[4])
        assert [note for note in inputs.notes if told in note and "Keyframe 0" in note]


def test_a_second_run_in_one_folder_is_refused_at_once(tmp_path):
    """Two runs in one folder ended in a traceback, or in exit 0 without a video."""
    with claimed(tmp_path / "out"), pytest.raises(OutputError, match=rf"in use by process {os.getpid()}, which began"):
        claimed(tmp_path / "out").__enter__()
    with claimed(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_the_hold_of_a_dead_process_is_broken(tmp_path):
    script = """
import os, sys
from pathlib import Path
from flowedit.runfolder import claimed
hold = claimed(Path(sys.argv[1]))
hold.__enter__()
os._exit(9)
"""
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "out")], check=False, env=path)
    assert any(LOCK in path.name for path in (tmp_path / "out").iterdir()), "it was killed while it held the folder"
    with claimed(tmp_path / "out"):
        pass


def test_the_manifest_says_what_was_asked_for_and_decided(tmp_path):
    path = make(tmp_path / "a.mp4", "libx264", 9, rate=Fraction(30000, 1001))
    folder = run_edit(request(path, fps=10, audio="none", num_frames=9)).folder
    manifest = json.loads((folder / "run.json").read_text())
    assert (manifest["request"]["fps"], manifest["request"]["audio"]) == (10, "none")
    assert [row["seconds"] for row in manifest["frame_map"]] == pytest.approx([i / 10 for i in range(9)])
    assert manifest["notes"]
