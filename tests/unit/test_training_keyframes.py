"""Keyframes in training clips: legal subsets, the mask's bits, the clip that holds the images."""

import random
from collections import Counter

import pytest
import torch

from training.keyframes import (
    choose_keyframes,
    choose_slots,
    keyframe_clip,
    keyframe_mask,
    slot,
)


@pytest.mark.parametrize("frames", [5, 17, 33, 49])
def test_every_subset_is_legal_and_the_named_kinds_occur(frames):
    rng, seen = random.Random(0), Counter()
    for _ in range(600):
        keys = choose_keyframes(rng, frames)
        slots = [slot(k) for k in keys]
        assert keys == sorted(set(keys))
        assert all(0 <= k < frames for k in keys)
        assert len(slots) == len(set(slots))
        seen[tuple(keys)] += 1
    assert seen[()] > 10
    assert seen[(0,)] > 40
    assert seen[(0, frames - 1)] > 40
    assert any(k % 4 for keys in seen for k in keys)


def test_the_mask_sets_one_bit_a_pixel_frame():
    mask = keyframe_mask([[0, 6, 32], []], 33, 1, 1)
    assert mask.shape == (2, 4, 9, 1, 1)
    assert mask[0, :, 0].sum() == 4
    assert mask[0, 1, 2] == 1  # frame 6: second of its group 5..8
    assert mask[0, 3, 8] == 1  # frame 32: last of its group 29..32
    assert mask.sum() == 6


def test_the_mask_equals_the_vendors_for_first_and_last():
    frames, h, w = 17, 2, 3
    vendor = torch.ones(1, frames, h, w)
    vendor[:, 1:-1] = 0
    vendor = torch.cat([vendor[:, :1].repeat_interleave(4, dim=1), vendor[:, 1:]], dim=1)
    vendor = vendor.view(1, vendor.shape[1] // 4, 4, h, w).transpose(1, 2)
    assert torch.equal(keyframe_mask([[0, 16]], frames, h, w), vendor)


def test_only_keyframes_stay_in_the_clip_and_the_ground_elsewhere():
    video, ground = torch.rand(2, 3, 9, 4, 4), torch.rand(2, 3, 9, 4, 4)
    kept = keyframe_clip(video, ground, [[0, 4], [8]])
    assert torch.equal(kept[0, :, [0, 4]], video[0, :, [0, 4]])
    assert torch.equal(kept[1, :, 8], video[1, :, 8])
    assert torch.equal(kept[0, :, [1, 2, 3, 5, 6, 7, 8]], ground[0, :, [1, 2, 3, 5, 6, 7, 8]])
    assert torch.equal(kept[1, :, :8], ground[1, :, :8])


def test_slots_of_keyframe_images_come_first_with_the_frame_that_is_marked():
    mask = keyframe_mask([[0, 6]], 17, 1, 1)[:, :, :, 0, 0]
    slots, index = choose_slots(mask)
    assert set(slots[0, :2].tolist()) == {0, 2}
    found = dict(zip(slots[0].tolist(), index[0].tolist(), strict=True))
    assert found == {0: 0, 1: 4, 2: 6, 3: 12, 4: 16}
