"""Cuts, windows and the frames that are keyed."""

from itertools import pairwise

import numpy as np
import pytest
from agent_clips import cut_clip, picture, static_clip, write_clip

from flowedit.agent import sample
from flowedit.agent.sample import choose_indices, file_source, frames_source, wanted_keyframes
from flowedit.errors import SettingError, VideoShapeError
from flowedit.frames import slots_of
from flowedit.media.clip import read_video as read
from flowedit.media.cuts import find_cuts


def test_a_pan_a_flash_and_a_moving_ball_are_no_cuts_and_others_are_found_where_they_are():
    assert find_cuts(cut_clip()) == (10, 22)
    pan = np.stack([np.roll(picture(), 6 * k, axis=1) for k in range(17)])
    flash = np.stack([picture()] * 17)
    flash[8] = 255
    assert [find_cuts(clip) for clip in (pan, flash, static_clip())] == [(), (), ()]
    assert find_cuts(np.stack([picture("astronaut")] * 24 + [picture("coffee")] * 9)) == (24,)


@pytest.mark.parametrize("num_frames", [1, 5, 33, 81, 301])
@pytest.mark.parametrize("wanted", [1, 4, 13])
@pytest.mark.parametrize("most", [2, 10])
def test_the_ends_are_keyed_and_no_slot_twice(num_frames, wanted, most):
    indices, missed = choose_indices(num_frames, (), wanted=wanted, most=most)
    assert indices[0] == 0
    assert indices[-1] == num_frames - 1
    assert len(indices) == min(max(wanted, 2), most, (num_frames - 1) // 4 + 1)
    assert all(index % 4 == 0 for index in indices)
    assert len(set(slots_of(indices, num_frames))) == len(indices)
    assert missed == ()


def test_keyframes_are_spread_evenly():
    indices, _ = choose_indices(81, (), wanted=6, most=10)
    gaps = [end - first for first, end in pairwise(indices)]
    assert max(gaps) - min(gaps) <= 4


def test_each_shot_gets_its_first_natural_frame_and_those_without_room_or_such_a_frame_are_named():
    assert choose_indices(81, (30, 55), wanted=2, most=10)[0] == (0, 32, 80)
    assert choose_indices(81, (30, 55, 70), wanted=2, most=10)[0] == (0, 32, 56, 80)
    assert choose_indices(81, (20, 40, 70), wanted=2, most=3) == ((0, 40, 80), (20,))
    assert choose_indices(33, (13, 15), wanted=2, most=9)[1] == (13,)


def test_a_rate_means_a_number():
    source = frames_source(static_clip(33), fps=8)
    assert wanted_keyframes(source, 1.0) == 5
    assert wanted_keyframes(source, 0.1) == 1
    assert wanted_keyframes(source, 1.7e308) == 33


@pytest.mark.parametrize("every", [1, 2])
def test_a_file_is_read_frame_by_frame_inside_its_window(tmp_path, every):
    path = write_clip(tmp_path / "clip.mp4", static_clip(30))
    source, fresh = (file_source(path, start=5, every=every) for _ in range(2))
    frames = read(path).frames[5::every]
    assert source.fps == 8 / every
    whole = list(source.stream())
    assert source.num_frames == len(whole) == len(frames)
    for index in (0, 4, 7, len(frames) - 1):
        assert np.array_equal(whole[index], frames[index])
        assert np.array_equal(source.frame(index), whole[index])
        assert np.array_equal(fresh.frame(index), whole[index])
    assert file_source(path).identity == source.identity
    with pytest.raises(SettingError, match="has 30 frames; frame 30 is not in it"):
        file_source(path, start=30)


def test_what_can_be_a_keyframe_is_decoded_once(tmp_path, monkeypatch):
    """Catches a search from the file's start for every keyframe: a file with one entry point is decoded ten times."""
    path = write_clip(tmp_path / "clip.mp4", static_clip(30))
    source = file_source(path, start=5)
    searched = []

    def noted(path, *, start, num_frames):
        searched.append(start)
        return read(path, start=start, num_frames=num_frames)

    monkeypatch.setattr(sample, "read_video", noted)
    find_cuts(source.stream())
    for index in (0, 8, 24, 8):
        source.frame(index)
    assert searched == []
    source.frame(7)
    source.frame(7)
    assert searched == [12]


def test_frames_that_do_not_fit_in_memory_are_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "_KEPT_BYTES", 0)
    monkeypatch.setattr(sample, "_FEWEST_KEPT", 2)
    source = file_source(write_clip(tmp_path / "clip.mp4", static_clip(30)))
    whole = list(source.stream())
    for index in (0, 24, 4, 0):
        assert np.array_equal(source.frame(index), whole[index])


def test_a_long_file_is_cut_to_the_model_window_and_frames_in_memory_are_checked(tmp_path):
    path = write_clip(tmp_path / "long.mp4", static_clip(100, (32, 48)))
    assert file_source(path).num_frames == 81
    assert file_source(path, num_frames=97).num_frames == 97
    with pytest.raises(VideoShapeError, match="17 or 21"):
        frames_source(static_clip(18))
    assert frames_source(static_clip()).identity != frames_source(static_clip(seed=1)).identity
