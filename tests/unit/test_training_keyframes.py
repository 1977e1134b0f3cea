"""Keyframes in training clips: legal subsets, the mask's bits, the clip that holds the images."""

import random
from collections import Counter

import pytest
import torch

from flowedit.frames import slot_of
from flowedit.wan.routes import keyframe_mask
from training.keyframes import choose_keyframes, choose_slots, keyframe_clip


@pytest.mark.parametrize("frames", [5, 17, 33, 49])
def test_every_subset_is_legal_and_the_named_kinds_occur(frames):
    rng, seen = random.Random(0), Counter()
    for _ in range(600):
        keys = choose_keyframes(rng, frames)
        slots = [slot_of(k) for k in keys]
        assert keys == sorted(set(keys))
        assert all(0 <= k < frames for k in keys)
        assert len(slots) == len(set(slots))
        seen[tuple(keys)] += 1
    assert seen[()] > 10
    assert seen[(0,)] > 40
    assert seen[(0, frames - 1)] > 40
    assert any(k % 4 for keys in seen for k in keys)


def test_only_keyframes_stay_in_the_clip_and_the_ground_elsewhere():
    video, ground = torch.rand(2, 3, 9, 4, 4), torch.rand(2, 3, 9, 4, 4)
    kept = keyframe_clip(video, ground, [[0, 4], [8]])
    assert torch.equal(kept[0, :, [0, 4]], video[0, :, [0, 4]])
    assert torch.equal(kept[1, :, 8], video[1, :, 8])
    assert torch.equal(kept[0, :, [1, 2, 3, 5, 6, 7, 8]], ground[0, :, [1, 2, 3, 5, 6, 7, 8]])
    assert torch.equal(kept[1, :, :8], ground[1, :, :8])


def test_slots_of_keyframe_images_come_first_with_the_frame_that_is_marked():
    mask = keyframe_mask([0, 6], 17, 1, 1)[None, :, :, 0, 0]
    slots, index = choose_slots(mask)
    assert set(slots[0, :2].tolist()) == {0, 2}
    found = dict(zip(slots[0].tolist(), index[0].tolist(), strict=True))
    assert found == {0: 0, 1: 4, 2: 6, 3: 12, 4: 16}
