"""The procedural world: what the renderer says about motion is what the pictures show."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from benchmarks.motion import follow
from flowedit.tiny.splits import RESERVED, SHARES, Split, generator
from flowedit.tiny.world import render, sample_scene
from training.natural import HELD_OUT, load_images, natural_scene


@pytest.fixture(scope="module")
def scene_and_clip():
    scene = sample_scene(generator(Split.TEST, 3), 6, 17)
    return scene, render(scene, 64, 96)


def correspond(scene, clip, source, target):
    """Positions in the target of the pixels of one frame, and which can be seen there."""
    times = torch.full((len(clip.rgb), 1), source), torch.full((len(clip.rgb), 1), target)
    position, visible = follow(scene, clip.ids[:, source : source + 1, 0], *times)
    return position[:, 0], visible[:, 0]


def warp(frame, position):
    height, width = frame.shape[-2:]
    at = position * 2 / torch.tensor([width - 1, height - 1]) - 1
    return F.grid_sample(frame, at, align_corners=True, padding_mode="border")


@pytest.mark.parametrize(("source", "target"), [(16, 0), (0, 16), (4, 9)])
def test_visible_points_keep_their_colour_along_the_true_motion(scene_and_clip, source, target):
    scene, clip = scene_and_clip
    position, visible = correspond(scene, clip, source, target)
    flat = 1 - clip.ink  # outlines are half covered pixels: they mix two surfaces
    clean = visible & (clip.ink[:, source, 0] < 0.3) & (warp(flat[:, target], position)[:, 0] > 0.7)
    error = (warp(clip.rgb[:, target], position) - clip.rgb[:, source]).abs().mean(1)
    still = (clip.rgb[:, target] - clip.rgb[:, source]).abs().mean(1)
    assert error[clean].mean() < 0.012
    assert still[clean].mean() > 4 * error[clean].mean()


def test_hidden_points_are_marked(scene_and_clip):
    scene, clip = scene_and_clip
    position, visible = correspond(scene, clip, 16, 0)
    seen_there = warp(clip.ids[:, 0].float(), position.round())[:, 0].round()
    same = seen_there == clip.ids[:, 16, 0]
    assert same[visible].float().mean() > 0.98
    assert 0.02 < (~visible).float().mean() < 0.8


def test_the_same_seed_gives_the_same_clip_and_another_seed_another():
    first, again, other = (render(sample_scene(generator(Split.TEST, n), 1, 5), 32, 32).rgb for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.02


@pytest.mark.parametrize("size", [(96, 176), (176, 96)])
def test_any_aspect_shows_the_same_scene_at_the_same_scale(size):
    scene = sample_scene(generator(Split.TEST, 5), 2, 5)
    clip, square = render(scene, *size), render(scene, 128, 128)
    assert clip.rgb.shape == (2, 5, 3, *size)
    assert square.rgb.shape == (2, 5, 3, 128, 128)
    rows, columns = (slice(s // 2 - 32, s // 2 + 32) for s in size)
    middle, of_square = clip.rgb[..., rows, columns], square.rgb[..., 32:96, 32:96]
    torch.testing.assert_close(middle.mean((-1, -2)), of_square.mean((-1, -2)), atol=0.03, rtol=0)


def test_splits_share_no_seed_with_one_another_nor_with_the_reference_world():
    ranges = [share.seeds for share in SHARES.values()] + list(RESERVED)
    for i, a in enumerate(ranges):
        for b in ranges[i + 1 :]:
            assert a.stop <= b.start or b.stop <= a.start
    keys = sorted(share.keys for share in SHARES.values())
    assert all(a[1] <= b[0] for a, b in pairwise(keys))


@pytest.mark.parametrize("name", list(HELD_OUT))
def test_a_filmed_photograph_is_a_scene_with_known_motion(name):
    scene = natural_scene(generator(Split.TEST, 7), load_images([name], side=256), 9, shapes=0.0)
    clip = render(scene, 64, 64)
    position, visible = correspond(scene, clip, 8, 0)
    error = (warp(clip.rgb[:, 0], position) - clip.rgb[:, 8]).abs().mean(1)
    assert error[visible].mean() < 0.02
    assert (clip.ids == 0).all()
