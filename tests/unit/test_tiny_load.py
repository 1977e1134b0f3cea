"""The shipped weights and the random pipeline: both are plain diffsynth pipelines."""

import hashlib

import pytest
import torch
from safetensors import safe_open
from torch import nn

from flowedit.errors import ModelError
from flowedit.tiny.config import DIT_FILE, SMOKE, VAE_FILE, WEIGHTS
from flowedit.tiny.load import build_pipeline, load_vae
from flowedit.tiny.model import build_dit
from flowedit.tiny.skeleton import Skeleton
from flowedit.wan import vendor


def test_weights_that_are_missing_or_of_another_architecture_are_refused(tmp_path):
    with pytest.raises(ModelError, match="tiny_vae"):
        load_vae(tmp_path / VAE_FILE)
    with pytest.raises(ModelError, match="do not fit"):
        load_vae(WEIGHTS / VAE_FILE, size=SMOKE)


def test_the_shipped_files_are_half_precision_and_small():
    total = 0
    for name in (VAE_FILE, DIT_FILE):
        path = WEIGHTS / name
        total += path.stat().st_size
        assert path.stat().st_size < 45e6
        with safe_open(path, framework="pt") as file:
            assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118 - no mapping
    assert total < 60.1e6


def test_the_shipped_pipeline_is_the_vendors_and_its_tables_are_right():
    pipe = build_pipeline()
    assert type(pipe) is vendor.WanVideoPipeline
    assert type(pipe.dit) is vendor.WanModel
    fresh = vendor.precompute_freqs_cis_3d(pipe.dit.dim // pipe.dit.blocks[0].self_attn.num_heads)
    for table, expected in zip(pipe.dit.freqs, fresh, strict=True):
        assert torch.equal(table, expected)
    assert not any(p.requires_grad or p.is_meta or not p.isfinite().all() for p in pipe.parameters())
    assert pipe.height_division_factor == 16
    assert pipe.vae.std.min() > 0.1


def test_the_weights_card_names_the_very_files():
    card = (WEIGHTS / "CARD.md").read_text(encoding="utf-8")
    for name in (VAE_FILE, DIT_FILE):
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest()[:16] in card
    assert "Apache-2.0" in card


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
