"""Long clips: windows cover every frame, share noise and anchors, and hand over without a step."""

import gc
import weakref
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from oracles import Curved, pictures

from flowedit.edit import windows
from flowedit.edit.preparation import PreparedEdit, draw_noise
from flowedit.edit.steps import edit_steps, edit_video, finish, prepare
from flowedit.edit.windows import LongEdit, edit_long_video, window_starts
from flowedit.errors import FlowEditError, VideoShapeError
from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings

SETTINGS = EditSettings(steps=4, detail="plain", strength=0.6)


@pytest.mark.parametrize(
    ("num_frames", "window", "overlap", "starts"),
    [(33, 33, 9, [0]), (17, 33, 9, [0]), (65, 33, 9, [0, 24, 32]), (57, 33, 9, [0, 24]), (257, 33, 9, None)],
)
def test_windows_cover_the_clip_on_the_slot_grid(num_frames, window, overlap, starts):
    found = window_starts(num_frames, window, overlap)
    assert starts is None or found == starts
    assert all(start % 4 == 0 for start in found), "a window that starts inside a slot shifts every latent"
    assert found[-1] + min(window, num_frames) == num_frames
    assert all(b + overlap <= a + window for a, b in pairwise(found))


def test_windows_that_cannot_move_on_are_refused():
    with pytest.raises(VideoShapeError, match="Windows of 17 frames cannot share 17; let them share at most 13"):
        window_starts(65, 17, 17)
    with pytest.raises(VideoShapeError, match=r"got 34\. Use 33 or 37"):
        window_starts(34, 17)


FIRST = [Keyframe(0, pictures(1, seed=5)[0])]


def test_clip_of_one_window_is_the_plain_edit():
    frames = pictures(17)
    whole = edit_video(frames, FIRST, Curved(), SETTINGS)
    long = edit_long_video(frames, FIRST, Curved(), SETTINGS, window=17)
    np.testing.assert_array_equal(long.frames, whole.frames)
    assert long.trace.to_dict()["keyframes"] == whole.trace.to_dict()["keyframes"]


def long_edit(num_frames, keyframes=FIRST):
    """One of windows of 25 frames."""
    return LongEdit(frames=pictures(num_frames), keyframes=keyframes, model=Curved(), settings=SETTINGS, window=25)


def test_steps_count_through_all_windows_and_end_in_the_same_result():
    edit = long_edit(41)
    seen = [(done, total) for done, total, _ in edit.steps()]
    assert seen == [(i + 1, 8) for i in range(8)]
    frames = edit_long_video(edit.frames, edit.keyframes, Curved(), SETTINGS, window=25).frames
    np.testing.assert_array_equal(edit.finish().frames, frames)
    assert [done for done, *_ in edit.steps()] == list(range(1, 9)), "a second run begins anew"
    np.testing.assert_array_equal(edit.finish().frames, frames)


@pytest.mark.parametrize(("taken", "keyframes", "steps"), [(0, None, 0), (3, (0,), 3), (4, (0,), 4), (6, (0,), 4)])
def test_a_stopped_run_keeps_the_readings_of_the_windows_done(taken, keyframes, steps):
    """Catches readings lost with the loop that was left, and windows of unlike length joined step by step."""
    edit = long_edit(41)
    going = edit.steps()
    for _ in range(taken):
        next(going)
    assert (edit.trace is None) == (keyframes is None)
    if edit.trace is not None:
        assert (edit.trace.keyframes, len(edit.trace.steps)) == (keyframes, steps)
    with pytest.raises(FlowEditError, match=f"{taken // 5} of 2 windows are done; go through all of steps"):
        edit.finish()


def with_noise(prepared, first):
    noise = draw_noise(prepared.problem.source, prepared.settings.seed, first=first, slots=11)
    return replace(prepared, problem=replace(prepared.problem, noise=noise))


def by_hand(frames, styled, model, settings):
    """Two windows of 25 frames over 41, every part of each alive to the end: frames, keyframes of each, traces."""
    first = with_noise(prepare(frames[:25], styled, model, settings), first=0)
    one = finish(first, list(edit_steps(first))[-1].latents)
    shared = [Keyframe(index, one.frames[16 + index]) for index in (0, 8)]
    second = with_noise(prepare(frames[16:], shared, model, settings), first=4)
    two = finish(second, list(edit_steps(second))[-1].latents)
    weight = (np.arange(1, 10) / 10)[:, None, None, None]
    mixed = np.round((1 - weight) * one.frames[16:] + weight * two.frames[:9]).astype(np.uint8)
    return np.concatenate([one.frames[:16], mixed, two.frames[9:]]), first, second


@pytest.mark.parametrize("changes", [{}, {"method": "difference"}], ids=["coupled", "difference"])
def test_two_windows_are_the_two_edits_to_the_bit(changes):
    """Catches a window that lets go of something it still needs, or of a reading that the result shows."""
    frames, settings = pictures(41), replace(SETTINGS, **changes)
    result = edit_long_video(frames, FIRST, Curved(), settings, window=25)
    expected, first, second = by_hand(frames, FIRST, Curved(), settings)
    np.testing.assert_array_equal(result.frames, expected)
    assert result.trace.keyframes == (0, 16, 24)
    for name in ("r_k_norm", "v_diff_norm", "delta_v_norm", "gap_norm"):
        both = np.concatenate([part.trace.array(name) for part in (first, second)], axis=1)
        np.testing.assert_array_equal(result.trace.array(name), both)
    assert result.seconds.keys() == first.seconds.keys()
    assert result.seconds["steps"] >= sum(step.seconds for step in result.trace.steps)


def test_windows_between_keyframes_are_held_from_both_sides_and_fade_both_ways():
    """Catches a style that is handed on from window to window although the user gave it again at the end."""
    styled = [Keyframe(index, picture) for index, picture in zip((0, 88), pictures(2, seed=5), strict=True)]
    edit, laid = long_edit(89, styled), []
    for done, _, _ in edit.steps():
        if done % 4 == 1:
            laid.append(edit._edited.copy())
    result = edit.finish()
    assert result.trace.keyframes == (0, 16, 24, 32, 40, 48, 56, 64, 72, 88)
    before, after = laid[-1].astype(int), result.frames.astype(int)
    assert (before[41:48] == 0).all(), "the window from 32 comes last"
    for alone in (slice(0, 32), slice(57, 89)):
        assert (after[alone] == before[alone]).all(), "what it does not show is left alone"
    for both in (slice(33, 40), slice(49, 56)):
        assert (after[both] != before[both]).any((1, 2, 3)).all(), "what it shares is a mixture"


def test_a_window_fades_in_over_the_one_before_and_out_over_the_one_after():
    edited = np.zeros((12, 1, 1, 3), np.uint8)
    windows._blend(edited[2:11], np.full((9, 1, 1, 3), 240, np.uint8), (3, 2))
    assert edited[:, 0, 0, 0].tolist() == [0, 0, 60, 120, 180, 240, 240, 240, 240, 160, 80, 0]


def test_windows_with_keyframes_run_first_and_an_estimate_keeps_them_in_order(monkeypatch):
    size = (16, 24)  # motion needs as much
    styled = [Keyframe(index, picture) for index, picture in zip((0, 88), pictures(2, 5, size), strict=True)]
    first_slots, real = [], windows.draw_noise

    def seen(like, seed, *, first, slots):
        first_slots.append(first)
        return real(like, seed, first=first, slots=slots)

    monkeypatch.setattr(windows, "draw_noise", seen)
    edit_long_video(pictures(89, size=size), styled, Curved(), SETTINGS, window=25)
    edit_long_video(pictures(89, size=size), styled, Curved(), replace(SETTINGS, method="refine"), window=25)
    assert first_slots == [0, 16, 4, 12, 8, 0, 6, 12, 18]  # the last four: those of an estimate share one frame


def test_a_window_is_let_go_before_the_next_is_encoded(monkeypatch):
    """Catches a list of the windows done that keeps their latents, conditions and noise to the end of the clip."""
    born: list[weakref.ref[PreparedEdit]] = []
    alive: list[int] = []

    def counted(*given):
        gc.collect()
        alive.append(sum(ref() is not None for ref in born))
        prepared = prepare(*given)
        born.append(weakref.ref(prepared))
        return prepared

    monkeypatch.setattr(windows, "prepare", counted)
    frames = pictures(89)
    result = edit_long_video(frames, FIRST, Curved(), SETTINGS, window=25)
    assert alive == [0] * 5
    gc.collect()
    assert result.frames.shape == frames.shape
    assert not any(ref() for ref in born), "the result keeps a window alive"


def test_windows_share_one_noise_of_which_each_holds_its_part():  # catches: each window drawing its own, or a view
    # Float64 models get a copy by the cast; those in float32, as the noise is drawn, would get a view.
    whole = draw_noise(torch.zeros(1, 2, 9, 3, 4), 0, first=0, slots=9)
    part = draw_noise(torch.zeros(1, 2, 5, 3, 4), 0, first=4, slots=9)
    assert torch.equal(part, whole[:, :, 4:9])
    assert part.untyped_storage().nbytes() == part.nbytes
