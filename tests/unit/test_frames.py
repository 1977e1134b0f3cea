"""Pixel frames and latent slots: the one place where an index changes its meaning."""

import pytest

from flowedit import frames
from flowedit.errors import KeyframeError, VideoShapeError


def test_groups_and_slots_are_each_others_inverse_and_cover_a_clip_once():  # catches: i // 4, a first group of four
    for slot in range(40):
        assert [frames.slot_of(i) for i in frames.group_of(slot)] == [slot] * len(frames.group_of(slot))
    assert [list(frames.group_of(slot)) for slot in (0, 1, 2)] == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]
    for num_frames in (1, 5, 33, 81):  # catches: a slot too many or too few
        covered = [i for slot in range(frames.slot_count(num_frames)) for i in frames.group_of(slot)]
        assert covered == list(range(num_frames))


@pytest.mark.parametrize(
    ("num_frames", "words"),
    [(82, "got 82. Use 81 or 85"), (4, "got 4. Use 1 or 5"), (0, "got 0. Use 1 or 5"), (-7, "got -7. Use 1 or 5")],
)
def test_a_length_that_is_not_4n_plus_1_names_the_two_nearest(num_frames, words):
    with pytest.raises(VideoShapeError, match=f"Wan needs 4n . 1 frames; {words}"):
        frames.slot_count(num_frames)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((130, 128), "got 130x128. Use 128x128 or 144x128"),
        ((128, 8), "got 128x8. Use 128x16 or 128x16"),
        ((0, 16), "got 0x16. Use 16x16"),
    ],
)
def test_a_size_that_does_not_divide_names_the_nearest(size, words):
    with pytest.raises(VideoShapeError, match=f"multiples of 16; {words}"):
        frames.check_size(*size, 16)
    assert frames.check_size(32, 48, 16) is None


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(720, 1280, (96, 176)), (1280, 720, (176, 96)), (480, 640, (112, 144)), (512, 512, (128, 128))],
)
def test_the_models_area_at_the_clips_aspect(height, width, expected):  # catches: height and width swapped
    assert frames.fit_size(height, width, area=128 * 128, multiple=16) == expected


def test_an_extreme_aspect_still_divides_and_keeps_a_side_and_too_few_pixels_are_refused():
    height, width = frames.fit_size(125, 4000, area=128 * 128, multiple=16)
    assert height % 16 == width % 16 == 0
    assert height >= 16
    for height, width in ((0, 5), (2, 64), (15, 15)):
        with pytest.raises(VideoShapeError, match=rf"at least 16x16 .*got {height}x{width}"):
            frames.fit_size(height, width, area=64, multiple=16)


def test_keyframes_given_by_pixel_index_become_slots():  # catches: pixel indices on the latent axis, the last dropped
    assert frames.slots_of([0, 3, 16, 32], 33) == (0, 1, 4, 8)
    assert frames.slots_of([], 33) == ()


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([33], "Keyframe 33 is outside the clip; its frames are 0 to 32"),
        ([-1], "Keyframe -1 is outside the clip"),
        ([4, 4], "Keyframe 4 is given twice; give each frame once"),
        ([8, 4], "Keyframe 4 comes after 8; give the indices in increasing order"),
        ([5, 8], r"Keyframes 5 and 8 lie in one latent slot \(frames 5 to 8\); keep one, or move one to frame 12"),
        ([29, 32], r"Keyframes 29 and 32 lie in one latent slot .* or move one to frame 28"),
    ],
)
def test_keyframes_that_cannot_be_meant_are_refused(indices, words):
    with pytest.raises(KeyframeError, match=words):
        frames.slots_of(indices, 33)
