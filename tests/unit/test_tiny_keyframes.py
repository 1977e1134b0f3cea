"""Keyframes in training clips: legal subsets, the mask's bits, the clip that holds the images."""

import random
from collections import Counter

import pytest
import torch

from training.keyframes import (
    choose_keyframes,
    disagreement,
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
    assert seen[()] > 40
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


def test_only_keyframes_stay_in_the_clip():
    video = torch.rand(2, 3, 9, 4, 4) + 0.1
    kept = keyframe_clip(video, [[0, 4], [8]])
    assert torch.equal(kept[0, :, [0, 4]], video[0, :, [0, 4]])
    assert torch.equal(kept[1, :, 8], video[1, :, 8])
    assert kept[0].ne(0).any(0).any(-1).any(-1).sum() == 2
    assert kept[1].ne(0).any(0).any(-1).any(-1).sum() == 1


def test_keyframes_that_disagree_differ_from_one_another_but_not_on_average():
    error = disagreement(torch.Generator().manual_seed(0), 800, 9, share=1.0)
    for part, none in ((error.matrix, torch.eye(3)), (error.offset, torch.zeros(3)), (error.line, torch.tensor(0.0))):
        assert part.std(1).mean() > 0.02
        torch.testing.assert_close(part.mean((0, 1)), none, atol=0.005, rtol=0)


def test_keyframes_that_agree_are_left_alone():
    video, ink = torch.rand(4, 9, 3, 8, 8), torch.rand(4, 9, 1, 8, 8)
    agreeing = disagreement(torch.Generator().manual_seed(0), 4, 9, share=0.0)
    torch.testing.assert_close(agreeing.applied(video, ink), video)


def test_the_error_of_a_line_is_where_lines_are():
    video, ink = torch.full((4, 9, 3, 8, 8), 0.5), torch.zeros(4, 9, 1, 8, 8)
    ink[..., 3] = 1
    error = disagreement(torch.Generator().manual_seed(1), 4, 9, share=1.0)
    change = error.applied(video, ink) - error.applied(video)
    assert (change[..., 3].amax((1, 2, 3)) > 0.02).any()
    assert not change[..., :3].any()
