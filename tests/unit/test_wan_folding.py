"""Folded convolutions give the vendor's numbers, and the vendor's own arithmetic comes back on demand."""

import pytest
import torch
from small_wan import small_vae

from flowedit.tiny.load import build_pipeline, random_pipeline
from flowedit.wan import folding
from flowedit.wan.folding import fold_convolutions, unfold_convolutions


def clip(frames, seed=0):
    return torch.rand(1, 3, frames, 32, 48, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def both_ways(vae, frames):
    with torch.inference_mode():
        latents = vae.encode(clip(frames), device="cpu")
        return latents, vae.decode(latents, device="cpu")


@pytest.mark.parametrize("frames", [1, 5, 17])  # one chunk, two, and enough that every cache is filled and refilled
@pytest.mark.parametrize("make", [lambda: random_pipeline(0).vae, small_vae], ids=["tiny", "wan"])
def test_encoding_and_decoding_give_the_vendors_numbers(make, frames):
    """Catches predecessors in the wrong order, padding on the wrong side, and frames before the chunk that are lost."""
    vae = make()
    expected = both_ways(vae, frames)
    names, weights = zip(*((n, p.clone()) for n, p in vae.state_dict().items()), strict=True)
    fold_convolutions(vae)
    folded = both_ways(vae, frames)
    for mine, theirs in zip(folded, expected, strict=True):
        assert not torch.equal(mine, theirs)  # it is the other arithmetic that ran
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)
    assert tuple(vae.state_dict()) == names
    assert all(torch.equal(p, w) for p, w in zip(vae.state_dict().values(), weights, strict=True))


def test_unfolding_gives_the_vendors_arithmetic_back_to_the_bit():
    vae = random_pipeline(0).vae
    expected = both_ways(vae, 5)
    fold_convolutions(vae)
    unfold_convolutions(vae)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(both_ways(vae, 5), expected, strict=True))


def test_the_shipped_model_is_folded_on_a_processor(monkeypatch):
    seen = []
    folded = folding._folded
    monkeypatch.setattr(folding, "_folded", lambda conv, *given: seen.append(conv) or folded(conv, *given))
    vae = build_pipeline().vae
    with torch.inference_mode():
        vae.encode(torch.zeros(1, 3, 1, 16, 16), device="cpu")
    assert len(seen) > 10
