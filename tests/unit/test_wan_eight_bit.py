"""8-bit products: near the plain layer, each row on its own scale, and the layer's own weights given back whole."""

import pytest
import torch
from small_wan import small_dit
from test_wan_fast import call
from torch import nn

from flowedit.errors import SettingError
from flowedit.wan.eight_bit import LARGEST, EightBitLinear, runs_on, use_all_bits, use_eight_bits
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
    assert torch.equal(layer.weight.float().abs().amax(1), torch.full((48,), LARGEST))


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


def test_a_layer_whose_sides_do_not_suit_stays_as_it_is():
    block = nn.ModuleDict({"odd": linear(rows=40), "even": linear()})
    use_eight_bits(block)
    assert isinstance(block["odd"], nn.Linear)
    assert isinstance(block["even"], EightBitLinear)


def test_they_are_refused_where_no_gpu_has_them():
    dit = small_dit("t2v")
    assert not runs_on(next(dit.parameters()))
    with pytest.raises(SettingError, match=r"8-bit products run in bfloat16 on a GPU .* Use the pace fast"):
        use_fast_blocks(dit, FastOptions(eight_bit=True))
    assert not any(isinstance(module, EightBitLinear) for module in dit.modules())
