"""A benchmark that remembers gives what one gives that does not, and computes less."""

import itertools
from dataclasses import replace

import numpy as np
import torch
from oracles import PointMass

from benchmarks.cases import Case, Condition, World
from benchmarks.memory import DEPTH, Remembering
from benchmarks.rows import ROWS, edit_row
from flowedit.keyframes import Keyframe


class Counting(PointMass):
    def __init__(self):
        super().__init__()
        self.work = []

    def encode(self, video):
        self.work.append("encode")
        return super().encode(video)

    def decode(self, latents):
        self.work.append("decode")
        return super().decode(latents)


def test_nothing_is_computed_twice_and_nothing_changes():
    """Catches a stale clip handed out for another, and results that a caller can spoil."""
    counting = Counting()
    model = Remembering(counting)
    clips = [torch.rand(1, 3, 5, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(DEPTH + 1)]
    first = model.encode(clips[0])
    first.zero_()
    assert torch.equal(model.encode(clips[0].clone()), PointMass().encode(clips[0]))
    assert counting.work == ["encode"]
    for clip in clips[1:]:
        assert torch.equal(model.encode(clip), PointMass().encode(clip))
    model.encode(clips[0])
    assert len(counting.work) == DEPTH + 2, "the oldest is forgotten"
    assert model.size_multiple == PointMass.size_multiple


def scene():
    frames, styled = np.random.default_rng(0).integers(0, 256, (2, 13, 16, 16, 3), dtype=np.uint8)
    return Case(
        world=World.OWN,
        scene=0,
        family="any",
        condition=Condition.EXACT,
        caption="",
        source_caption="",
        frames=frames,
        truth=styled,
        ink=np.zeros((13, 16, 16)),
        hidden=None,
        flow=None,
        visible=None,
        keyframes=tuple(Keyframe(i, styled[i]) for i in (0, 12)),
    )


def test_rows_give_the_same_frames_with_and_without_memory():
    """Catches a guess remembered for other keyframes."""
    one = scene()
    other = replace(one, keyframes=tuple(Keyframe(k.index, 255 - k.image) for k in one.keyframes))
    model = Remembering(Counting())
    for changes in ({},):
        for case in (one, other, one):
            row = edit_row("default", **changes)
            np.testing.assert_array_equal(row(case, model), row(case, PointMass()))
    assert model.estimate(one.frames, one.keyframes) is model.estimate(one.frames, one.keyframes)


def test_the_next_row_of_a_scene_encodes_no_clip_again():
    """Catches a memory shorter than what one edit asks for: asked in the same order, it would forget just ahead."""
    case, clips = scene(), []

    class Noting(PointMass):
        def encode(self, video):
            clips.append(video)
            return super().encode(video)

    model = Remembering(Noting())
    three = replace(case, keyframes=tuple(Keyframe(i, case.truth[i]) for i in (0, 4, 12)))
    ROWS["method"](three, model)
    edit_row("method", strength=0.5)(three, model)
    longer = [clip for clip in clips if clip.shape[2] > 1]
    assert len(longer) >= 5
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(longer, 2) if a.shape == b.shape)
