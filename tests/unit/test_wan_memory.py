"""The memory formulas against the bytes that the vendor's own forward keeps alive."""

import pytest
import torch
from meta_peak import forward_peak, vae_peak

from flowedit.model import ClipShape
from flowedit.wan import memory
from flowedit.wan.checkpoints import CHECKPOINTS, resolve

CASES = [
    "Wan2.1-T2V-1.3B",
    "Wan2.1-Fun-1.3B-InP",
    "Wan2.1-VACE-1.3B",
    "Wan2.1-I2V-14B-480P",
    "Wan2.1-VACE-14B",
    "Wan2.2-TI2V-5B",
    "Wan2.2-I2V-A14B",
]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_activations_are_within_three_percent_of_the_count(name, dtype):
    entry = CHECKPOINTS[name]
    rows, columns = (30, 52) if entry.size_multiple == 16 else (22, 40)
    counted = forward_peak(entry.family, entry.width, (entry.latent_channels, 21, 2 * rows, 2 * columns), dtype)
    predicted = memory.activation_bytes(
        entry.width, 21 * rows * columns, item=dtype.itemsize, per_token_time=entry.family == "ti2v"
    )
    assert predicted == pytest.approx(counted, rel=0.03)


@pytest.mark.parametrize("name", ["1.3B", "Wan2.2-TI2V-5B"])
@pytest.mark.parametrize("frames", [9, 49])
def test_the_vae_is_within_three_percent_of_the_count(name, frames):
    entry = resolve(name)
    decode, encode = vae_peak(entry.latent_channels, frames, 192, 320)
    shape = ClipShape(num_frames=frames, height=192, width=320)
    assert memory.vae_bytes(entry, shape) == pytest.approx(decode, rel=0.03)
    assert encode <= decode


def test_tiles_bound_the_vae_and_do_not_matter_for_a_small_clip():
    entry = resolve("1.3B")
    big, small = (ClipShape(num_frames=17, height=side, width=side) for side in (960, 96))
    assert memory.vae_bytes(entry, big, tiled=True) < memory.vae_bytes(entry, big) / 5
    assert memory.vae_bytes(entry, small, tiled=True) == memory.vae_bytes(entry, small)


def test_tokens_of_the_480p_shape_with_and_without_keyframes():
    shape = ClipShape(num_frames=81, height=480, width=832)
    assert memory.token_count(resolve("1.3B"), shape) == 32_760
    assert memory.token_count(resolve("1.3B"), shape, keyframes=5) == 40_560
    wide = ClipShape(num_frames=121, height=704, width=1280)
    assert memory.token_count(resolve("Wan2.2-TI2V-5B"), wide) == 31 * 22 * 40
