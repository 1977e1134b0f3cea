"""Modules built without memory: their weights wait for a file, their tables are real, and no random state moves."""

import torch
from torch import nn

from flowedit.tiny.config import SMOKE
from flowedit.tiny.model import build_dit
from flowedit.tiny.skeleton import Skeleton


def test_weights_take_no_memory_tables_are_computed_and_outside_everything_is_as_ever():
    expected = build_dit(SMOKE)
    state = torch.get_rng_state()
    with Skeleton():
        dit, placed = build_dit(SMOKE), torch.empty(2, device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert dit.blocks[0].ffn[0].weight.is_meta
    assert [tuple(p.shape) for p in dit.parameters()] == [tuple(p.shape) for p in expected.parameters()]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(dit.freqs, expected.freqs, strict=True))
    assert not placed.is_meta
    assert not nn.Linear(3, 4).weight.is_meta
