"""The shipped weights and the random pipeline: both are plain diffsynth pipelines."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from small_tiny import random_pipeline

from flowedit.errors import ModelError
from flowedit.tiny.config import DIT_FILE, SMOKE, VAE_FILE, WEIGHTS
from flowedit.tiny.load import build_pipeline, load_vae
from flowedit.wan import vendor


def run(pipe, image, **changes):
    size = {"height": 32, "width": 32, "num_frames": 5, "num_inference_steps": 2, "cfg_scale": 1.0, "tiled": False}
    given = {"prompt": "red ball", "seed": 0, "progress_bar_cmd": lambda steps: steps, **size, **changes}
    return np.stack([np.asarray(f) for f in pipe(input_image=image, **given)]).astype(int)


def test_the_vendors_own_call_runs_and_every_input_moves_the_output():
    small, drawn = random_pipeline(0), np.random.default_rng(0)
    image, other = (Image.fromarray(drawn.integers(0, 255, (32, 32, 3), np.uint8)) for _ in range(2))
    base = run(small, image)
    assert base.shape == (5, 32, 32, 3)
    assert np.array_equal(base, run(small, image))
    for changed in (run(small, other), run(small, image, prompt="blue box"), run(small, image, seed=1)):
        assert np.abs(changed - base).max() > 0


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
