"""From files to the editor's inputs: windows, sizes and keyframes are refused or mapped, never bent."""

from fractions import Fraction

import numpy as np
import pytest

from flowedit.errors import KeyframeError, SettingError, VideoShapeError
from flowedit.job import choose_window, load_job, pair_keyframes, parse_indices, parse_size, video_window
from flowedit.media.clip import write_image, write_video
from flowedit.presets import model_defaults

TINY = model_defaults("tiny")


@pytest.fixture
def clip(tmp_path):
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 256, (1, 90, 160, 3), dtype=np.uint8), 40, axis=0)
    frames[:, :, :, 0] = np.arange(40, dtype=np.uint8)[:, None, None] * 6
    path = tmp_path / "clip.mp4"
    write_video(path, frames, Fraction(30000, 1001), lossless=True)
    return path


def picture(path, height, width):
    write_image(path, np.full((height, width, 3), 200, np.uint8))
    return path


@pytest.mark.parametrize(
    ("total", "start", "asked", "expected"),
    [(40, 0, None, 33), (40, 20, None, 17), (100, 5, 17, 17), (3, 0, None, 1), (33, 0, 33, 33)],
)
def test_window_is_the_longest_legal_one_from_the_start(total, start, asked, expected):
    chosen = choose_window(total, start=start, num_frames=asked, window=33)
    assert (chosen.start, chosen.num_frames) == (start, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": 40, "num_frames": None}, "--start is 40 and the video has frames 0 to 39"),
        ({"start": -1, "num_frames": None}, "--start is -1"),
        ({"start": 0, "num_frames": 32}, r"got 32\. Use 29 or 33"),
        ({"start": 20, "num_frames": 33}, r"33 frames from frame 20 reach past the video's 40; use at most 17"),
    ],
)
def test_window_outside_the_video_names_the_cure(arguments, message):
    with pytest.raises(VideoShapeError, match=message):
        choose_window(40, window=33, **arguments)


def test_keyframes_at_source_and_model_size_go_through_one_map(clip, tmp_path):
    pictures = [(0, picture(tmp_path / "a.png", 90, 160)), (16, picture(tmp_path / "b.png", 96, 176))]
    window = video_window(clip, start=3, num_frames=None, window=TINY.window)
    job = load_job(clip, pictures, TINY, frame_map=window, size=None, multiple=16)
    assert job.frames.shape == (33, 96, 176, 3)
    assert [k.image.shape for k in job.keyframes] == [(96, 176, 3)] * 2
    assert job.fps == Fraction(30000, 1001)
    assert job.frame_map.rows()[16] == {"source_frame": 19, "clip_frame": 16, "latent_slot": 4}
    assert abs(int(np.median(job.frames[0, :, :, 0])) - 3 * 6) <= 1, "clip frame 0 is source frame 3"
    assert "frames 3 to 35 of 40" in job.summary()
    assert "160x90 edited at 176x96" in job.summary()


@pytest.mark.parametrize(("height", "width"), [(90, 90), (160, 90), (100, 160)])
def test_keyframe_of_another_aspect_is_refused_with_both_sizes(clip, tmp_path, height, width):
    window = video_window(clip, start=0, num_frames=17, window=TINY.window)
    pictures = [(0, picture(tmp_path / "odd.png", height, width))]
    with pytest.raises(KeyframeError, match=rf"{width}x{height}; it must have the video's size, 160x90, or the edit's"):
        load_job(clip, pictures, TINY, frame_map=window, size=None, multiple=16)


def test_size_that_does_not_divide_names_the_nearest(clip, tmp_path):
    window = video_window(clip, start=0, num_frames=17, window=TINY.window)
    with pytest.raises(VideoShapeError, match=r"got 100x160\. Use 96x160"):
        load_job(clip, [], TINY, frame_map=window, size=(100, 160), multiple=16)


def test_collision_is_found_before_the_video_is_read(clip, tmp_path):
    window = video_window(clip, start=0, num_frames=17, window=TINY.window)
    files = [(1, tmp_path / "missing.png"), (4, tmp_path / "missing.png")]
    with pytest.raises(KeyframeError, match="Keyframes 1 and 4 lie in one latent slot"):
        load_job(clip, files, TINY, frame_map=window, size=None, multiple=16)


def test_folder_of_keyframes_takes_its_indices_from_the_names(tmp_path):
    for name in ("style-0016.png", "style-0000.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [(i, p.name) for i, p in pair_keyframes([tmp_path], at=None)] == [
        (0, "style-0000.png"),
        (16, "style-0016.png"),
    ]


def test_counts_that_differ_name_both(tmp_path):
    files = [picture(tmp_path / "a.png", 8, 8)]
    with pytest.raises(KeyframeError, match="1 keyframe images came with 2 indices"):
        pair_keyframes(files, at=[0, 16])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda folder: pair_keyframes([folder], None), KeyframeError, "holds no images"),
        (lambda folder: pair_keyframes([folder / "gone.png"], [0]), KeyframeError, "No keyframe image at .*gone.png"),
        (lambda folder: parse_indices("0,x"), SettingError, "--at is '0,x'"),
        (lambda folder: parse_size("96"), SettingError, "--size is '96'"),
        (lambda folder: parse_size("axb"), SettingError, "--size is 'axb'"),
    ],
)
def test_unreadable_arguments_are_named(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(tmp_path)


def test_name_without_a_number_asks_for_at(tmp_path):
    with pytest.raises(KeyframeError, match=r"red.png ends with no frame number; give the indices with --at"):
        pair_keyframes([picture(tmp_path / "red.png", 8, 8)], at=None)


def test_size_is_height_by_width():
    assert parse_size("480x832") == (480, 832)
    assert parse_indices("0,16, 32") == [0, 16, 32]
