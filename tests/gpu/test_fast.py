"""The fast path on a GPU, small: the compiled block in bfloat16, with the attention kernel of that device."""

import pytest
import torch
from small_wan import FAMILIES, forward, is_fast, small_dit

from flowedit.wan.fast import use_fast_blocks

DEVICE = "cuda"


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"vace"}))
@pytest.mark.usefixtures("moved")
def test_a_compiled_forward_is_the_vendors_to_rounding(family):
    # Heads of 128 channels, as all the official transformers have: kernels are chosen by it.
    dit = small_dit(family, dim=256).to(DEVICE, torch.bfloat16)
    expected = forward(dit)
    use_fast_blocks(dit)
    error = (forward(dit) - expected).float().norm() / expected.float().norm()
    assert is_fast(dit)
    assert error < 0.03
    assert {table.device.type for table in dit.freqs} == {DEVICE}
