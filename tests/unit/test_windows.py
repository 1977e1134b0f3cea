"""Long clips: windows cover every frame, share noise and anchors, and hand over without a step."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from oracles import Curved, pictures

from flowedit.config import EditSettings
from flowedit.editor import Given, edit_video, prepare
from flowedit.errors import VideoShapeError
from flowedit.keyframes import Keyframe
from flowedit.windows import edit_long_video, window_starts

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


def test_clip_of_one_window_is_the_plain_edit():
    frames, styled = pictures(17), [Keyframe(0, pictures(1, seed=5)[0])]
    whole = edit_video(frames, styled, Curved(), SETTINGS)
    long = edit_long_video(frames, styled, Curved(), SETTINGS, window=17)
    np.testing.assert_array_equal(long.frames, whole.frames)
    assert long.trace.to_dict()["keyframes"] == whole.trace.to_dict()["keyframes"]


def test_windows_share_one_noise():  # catches: each window drawing its own
    frames, model = pictures(33), Curved()
    whole = prepare(frames, [], model, SETTINGS)
    part = prepare(frames[16:33], [], model, SETTINGS, Given(first_slot=4, slots=9))
    torch.testing.assert_close(part.problem.noise(0), whole.problem.noise(0)[:, :, 4:9], rtol=0, atol=0)


def test_second_window_is_anchored_by_the_first_ones_result():
    frames, styled = pictures(41), [Keyframe(0, pictures(1, seed=5)[0])]
    result = edit_long_video(frames, styled, Curved(), SETTINGS, window=25)
    assert result.frames.shape == frames.shape
    assert result.trace.keyframes[0] == 0
    assert {16, 24} <= set(result.trace.keyframes), "frames 16 and 24 were edited by the first window"
    assert [step.step for step in result.trace.steps] == [0, 1, 2, 3]


def test_watch_counts_through_all_windows():
    seen = []
    frames, styled = pictures(41), [Keyframe(0, pictures(1, seed=5)[0])]
    edit_long_video(
        frames, styled, Curved(), SETTINGS, window=25, watch=lambda done, total, step: seen.append((done, total))
    )
    assert seen == [(i + 1, 8) for i in range(8)]
