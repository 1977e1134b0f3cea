"""8-bit products: near the plain layer, each row on its own scale, and the layer's own weights given back whole."""

import copy

import pytest
import torch
from small_wan import small_dit
from test_wan_fast import call
from torch import nn

from flowedit.errors import SettingError
from flowedit.wan import eight_bit, fast
from flowedit.wan.blocks import View
from flowedit.wan.eight_bit import LARGEST, EightBitLinear, has_room, runs_on, use_all_bits, use_eight_bits
from flowedit.wan.fast import FastOptions, use_fast_blocks


def linear(rows=48, columns=32, *, bias=True):
    torch.manual_seed(0)
    return nn.Linear(columns, rows, bias=bias).to(torch.bfloat16)


@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_the_plain_one_to_three_bits_of_mantissa(bias):
    plain, x = linear(bias=bias), torch.randn(2, 5, 32, dtype=torch.bfloat16)
    expected, found = plain(x).float(), EightBitLinear(plain)(x)
    assert found.dtype == torch.bfloat16
    assert found.shape == (2, 5, 48)
    error = (found.float() - expected).norm() / expected.norm()
    assert 0.005 < error < 0.05


def test_one_large_token_or_row_costs_the_others_nothing():
    """With one scale for all, values 4 million times smaller than the largest would round to nothing."""
    plain, x = linear(bias=False), torch.randn(6, 32, dtype=torch.bfloat16)
    expected = EightBitLinear(plain)(x).clone()
    x[3] *= 2.0**22
    plain.weight.data[7] *= 2.0**22
    found = EightBitLinear(plain)(x)
    kept = [i for i in range(48) if i != 7]
    others = [i for i in range(6) if i != 3]
    assert torch.equal(found[others][:, kept], expected[others][:, kept])
    assert torch.isfinite(found).all()


def test_the_largest_value_of_each_row_fills_the_eight_bits():
    layer = EightBitLinear(linear())
    assert torch.equal(layer.eight.float().abs().amax(1), torch.full((48,), LARGEST))


def test_a_row_of_zeros_stays_zero():
    plain = linear(bias=False)
    assert not EightBitLinear(plain)(torch.zeros(1, 32, dtype=torch.bfloat16)).any()


def test_blocks_get_their_own_layers_back_bit_for_bit():
    dit = small_dit("t2v")
    expected, names = call(dit, "t2v"), list(dit.state_dict())
    for block in dit.blocks:
        use_eight_bits(block)
    replaced = [name for name, module in dit.named_modules() if isinstance(module, EightBitLinear)]
    assert len(replaced) == 2 * 10, "four of each attention and two of the feed-forward, in two blocks"
    rounded = call(dit, "t2v")
    assert 1e-4 < (rounded - expected).norm() / expected.norm() < 0.1
    for block in dit.blocks:
        use_all_bits(block)
    assert list(dit.state_dict()) == names
    assert torch.equal(call(dit, "t2v"), expected)


def test_one_code_serves_every_block():
    """Code that held a block's own weights would be compiled for each, and given up for plain Python after eight."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    blocks = small_dit("t2v").blocks
    use_eight_bits(blocks)
    plain = fast._named(fast.attention("default", torch.zeros(1)))
    whole = torch.compile(plain, fullgraph=True, dynamic=False, backend="aot_eager")
    x, context, modulation = torch.randn(1, 12, 48), torch.randn(1, 8, 48), torch.randn(1, 6, 48)
    view = View(torch.randn(12, 1, 12), torch.randn(12, 1, 12))
    with torch.no_grad():
        for block in blocks:
            assert torch.equal(
                whole(block, x, context, modulation, view)[0], plain(block, x, context, modulation, view)[0]
            )
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    torch._dynamo.reset()


def test_the_copy_follows_the_weight():
    """A LoRA fused later, or a cast, must not leave products of the weight before."""
    plain, x = linear(), torch.randn(3, 32, dtype=torch.bfloat16)
    layer = EightBitLinear(plain)
    assert set(layer.state_dict()) == {"weight", "bias"}
    layer.load_state_dict({"weight": 2 * plain.weight, "bias": plain.bias})
    assert torch.allclose(layer(x) - plain.bias, 2 * (EightBitLinear(linear())(x) - plain.bias), atol=0.02)
    assert torch.equal(plain.weight, 2 * linear().weight)
    layer.to(torch.float32)
    assert layer.eight.dtype == torch.float8_e4m3fn
    assert plain.weight.dtype == torch.float32
    copy.deepcopy(layer)


def test_copies_take_a_quarter_of_the_free_memory_at_most():
    blocks = small_dit("t2v").blocks
    copies = sum(layer.weight.numel() for layer in blocks.modules() if isinstance(layer, nn.Linear))
    assert has_room(blocks, 4 * copies)
    assert not has_room(blocks, 4 * copies - 4)


def test_a_gpu_or_a_pytorch_without_them_is_found_out_by_trying(monkeypatch):
    like = torch.zeros(1, dtype=torch.bfloat16)
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda _: True))
    for broken in (False, True):

        def multiply(rows, weight, *, broken=broken, **given):
            if broken:
                raise RuntimeError(given)
            return rows

        monkeypatch.setattr(torch, "_scaled_mm", multiply)
        eight_bit._tried.cache_clear()
        assert runs_on(like) is not broken
    assert not runs_on(like.float())
    eight_bit._tried.cache_clear()


def test_a_layer_whose_sides_do_not_suit_stays_as_it_is():
    block = nn.ModuleDict({"odd": linear(rows=40), "even": linear()})
    use_eight_bits(block)
    assert isinstance(block["odd"], nn.Linear)
    assert isinstance(block["even"], EightBitLinear)


def test_they_are_refused_where_no_gpu_has_them():
    dit = small_dit("t2v")
    assert not runs_on(next(dit.parameters()))
    with pytest.raises(SettingError, match=r"8-bit products run in bfloat16 where .* Use the pace fast"):
        use_fast_blocks(dit, FastOptions(eight_bit=True))
    assert not any(isinstance(module, EightBitLinear) for module in dit.modules())
