"""The VAE as it is computed fastest: the vendor's numbers, and the vendor's own arithmetic back on demand."""

import pytest
import torch
from small_tiny import random_pipeline
from small_wan import small_vae
from torch import nn

from flowedit.tiny.load import build_pipeline
from flowedit.wan import vae as fast_vae
from flowedit.wan.vae import use_conv2d, use_fast_vae, use_plain_vae

pytestmark = pytest.mark.usefixtures("nothing_compiled")


def clip(frames, width=32):
    return torch.rand(1, 3, frames, 32, width, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.fixture
def nothing_compiled():
    """Code that one test compiled says nothing of how often another one compiles."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def both_ways(vae, frames=9, width=32):
    with torch.no_grad():
        latents = vae.encode(clip(frames, width), device="cpu")
        return latents, vae.decode(latents, device="cpu")


def overridden(vae):
    return [name for name, module in vae.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("family", ["t2v", "ti2v"])
def test_it_gives_the_vendors_numbers_and_the_vendors_layers_back(family):
    vae = small_vae(family)
    names, expected = list(vae.state_dict()), both_ways(vae)
    use_fast_vae(vae, backend="eager")
    assert list(vae.state_dict()) == names
    norms = [name for name in overridden(vae) if name.endswith("residual.0")]
    assert len(norms) > 10, "every residual block begins with a norm"
    assert any(isinstance(module, nn.Upsample) and "forward" in vars(module) for module in vae.modules())
    found = both_ways(vae)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=2e-5)
    use_plain_vae(vae)
    assert not overridden(vae)
    for one, other in zip(both_ways(vae), expected, strict=True):
        assert torch.equal(one, other)


def test_another_order_of_weights_in_memory_is_left_alone():
    """Weights for the 2-D form lie in an order of their own, which a pace must not undo."""
    vae = small_vae()
    use_conv2d(vae)
    before = {name: weight.stride() for name, weight in vae.named_parameters()}
    assert any(not weight.is_contiguous() for weight in vae.parameters())
    use_plain_vae(vae)
    assert {name: weight.stride() for name, weight in vae.named_parameters()} == before


def test_one_code_serves_every_length():
    """Compiled for real: whatever lengths and sizes a clip's pieces have, nothing is compiled anew."""
    vae = small_vae()
    use_fast_vae(vae)
    both_ways(vae)
    torch._dynamo.utils.counters.clear()
    both_ways(vae, frames=5, width=48)
    assert not torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.mark.parametrize("frames", [1, 5, 17])  # one chunk, two, and enough that every cache is filled and refilled
@pytest.mark.parametrize("make", [lambda: random_pipeline(0).vae, small_vae], ids=["tiny", "wan"])
def test_the_2d_form_gives_the_vendors_numbers(make, frames):
    """Catches predecessors in the wrong order, padding on the wrong side, and frames before the chunk that are lost."""
    vae = make()
    expected = both_ways(vae, frames, 48)
    names, weights = zip(*((n, p.clone()) for n, p in vae.state_dict().items()), strict=True)
    use_conv2d(vae)
    for mine, theirs in zip(both_ways(vae, frames, 48), expected, strict=True):
        assert not torch.equal(mine, theirs)  # it is the other arithmetic that ran
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)
    assert tuple(vae.state_dict()) == names
    assert all(torch.equal(p, w) for p, w in zip(vae.state_dict().values(), weights, strict=True))


def test_the_shipped_model_takes_the_2d_form_on_a_processor(monkeypatch):
    seen, inner = [], fast_vae._in_pairs
    monkeypatch.setattr(fast_vae, "_in_pairs", lambda conv, *given: seen.append(conv) or inner(conv, *given))
    vae = build_pipeline().vae
    with torch.inference_mode():
        vae.encode(torch.zeros(1, 3, 1, 16, 16), device="cpu")
    assert len(seen) > 10


def test_no_bar_of_the_vendors_shows_beside_the_runs_own(capsys):
    """Of a clip in tiles the vendor draws two, `VAE encoding` and `VAE decoding`."""
    vae = small_vae()
    tiles = {"device": "cpu", "tiled": True, "tile_size": (2, 2), "tile_stride": (1, 1)}
    with torch.no_grad():
        latents = vae.encode(clip(1), **tiles)
        assert vae.decode(latents, **tiles).shape == (1, 3, 1, 32, 32)
    assert capsys.readouterr() == ("", "")


def test_a_clip_goes_straight_to_its_latents(monkeypatch):
    """The vendor's numbers without its copy on the host; in tiles its own code."""
    vae = small_vae()
    with torch.no_grad():
        expected = vae.encode(clip(5), device="cpu")
        given = torch.cat([clip(5), -clip(5)])
        assert torch.equal(fast_vae.encode_clips(vae, given, "cpu")[:1], expected)
        assert torch.equal(fast_vae.encode_clips(vae, given, "cpu"), vae.encode(given, device="cpu"))
        seen = []
        monkeypatch.setattr(type(vae), "tiled_encode", lambda *given: seen.append(given[3:]) or expected)
        fast_vae.encode_clips(vae, clip(5), "cpu", tiled=True, tile_size=(2, 2), tile_stride=(1, 1))
    assert seen == [((16, 16), (8, 8))]
