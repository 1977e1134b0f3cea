"""Frames of a varying rate, animations and sequences: every frame keeps its own time, and pictures their order."""

from fractions import Fraction

import numpy as np
import pytest
from footage import beeps_in, make, number_of, numbered

from flowedit.errors import SettingError, VideoFileError
from flowedit.media.clip import probe, read_video, stream_video, write_image, write_video

LENGTHS = [Fraction(1, 30), Fraction(1, 30), Fraction(1, 12), Fraction(1, 24)] * 10
TIMES = [sum(LENGTHS[:i], Fraction(0)) for i in range(len(LENGTHS) + 1)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize("start", [0, 9])
def test_a_varying_rate_keeps_every_frames_time(tmp_path, name, start):
    """A phone's window of 1.1 s became 1.6 s beside its sound."""
    path = make(tmp_path / name, "libx264", len(LENGTHS), times=TIMES, rate=30, sound="pcm_s16le", options={"g": "8"})
    clip = read_video(path, start=start, num_frames=25)
    expected = [float(time - TIMES[start]) for time in TIMES[start : start + 26]]
    assert [float(time) for time in clip.times] == pytest.approx(expected, abs=0.0011)
    write_video(tmp_path / "out.mp4", clip.frames, clip.times, audio_from=path, audio_start_s=clip.start_s)
    made = read_video(tmp_path / "out.mp4")
    assert [float(time) for time in made.times] == pytest.approx(expected, abs=0.0011)
    assert [number_of(frame) for frame in made.frames] == list(range(start, start + 25))
    heard = [k + 0.5 - float(TIMES[start]) for k in range(2)]
    assert beeps_in(tmp_path / "out.mp4") == pytest.approx([h for h in heard if 0 < h < expected[-1]], abs=0.005)


def test_another_rate_re_times_the_frames_and_has_no_sound(tmp_path):
    path = make(tmp_path / "a.mp4", "libx264", 30, sound="aac")
    clip = read_video(path, start=5, num_frames=9, fps=12.5)
    assert (clip.fps, clip.times[-1], clip.has_audio) == (Fraction(25, 2), Fraction(18, 25), False)
    with pytest.raises(SettingError, match="A video cannot run at 0 frames a second"):
        read_video(path, fps=0)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_animations_keep_their_frames_and_delays(tmp_path, suffix):
    """A GIF's own delays were lost, and it came three times too slow."""
    times = [Fraction(ms, 1000) for ms in (0, 40, 100, 300, 330, 400)]
    write_video(tmp_path / f"a{suffix}", np.stack([numbered(40 * i) for i in range(5)]), times)
    clip = read_video(tmp_path / f"a{suffix}", start=1)
    assert [float(time) for time in clip.times] == pytest.approx([0, 0.06, 0.26, 0.29, 0.36], abs=1e-6)
    assert [number_of(frame) for frame in clip.frames] == [40, 80, 120, 160]
    if suffix != ".gif":
        assert np.array_equal(clip.frames[0], numbered(40))
    assert probe(tmp_path / f"a{suffix}").duration == pytest.approx(0.4)


def sequence(folder):
    folder.mkdir()
    for number in range(1, 13):
        write_image(folder / f"shot.{number}.png", numbered(number))
    write_image(folder / "._shot.3.png", numbered(99))
    (folder / "notes.png").write_text("no picture")
    return folder


@pytest.mark.parametrize("pattern", ["", "shot.%d.png", "shot.*.png"])
def test_a_folder_or_pattern_of_pictures_is_a_clip(tmp_path, pattern):
    path = sequence(tmp_path / "frames") / pattern
    clip = read_video(path, start=1, num_frames=10, fps=12)
    assert [number_of(frame) for frame in clip.frames] == list(range(2, 12))
    assert np.array_equal(clip.frames[0], numbered(2))
    assert (clip.total, clip.times[-1]) == (12, Fraction(10, 12))
    assert len(list(stream_video(path))) == probe(path).num_frames == 12
    assert "24 frames a second unless --fps" in read_video(path).notes[0]


def test_a_folder_without_pictures_and_sizes_that_differ_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoFileError, match="without pictures"):
        probe(tmp_path / "empty")
    folder = sequence(tmp_path / "frames")
    write_image(folder / "shot.13.png", numbered(1, 16, 64))
    with pytest.raises(VideoFileError, match="changes size at frame 12"):
        read_video(folder)


def test_names_are_names(tmp_path):
    """A colon was read as a protocol."""
    path = make(tmp_path / "take:2 50%d.mkv", "mpeg4", 3)
    assert probe(path).num_frames == 3
    write_video(tmp_path / "out:1.mp4", numbered(1)[None], 25)
    assert probe(tmp_path / "out:1.mp4").num_frames == 1
