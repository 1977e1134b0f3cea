"""The fast path against the vendor's own blocks: the same numbers for every family, and no trace once it is off."""

import pytest
import torch
from small_wan import FAMILIES, forward, small_dit

from flowedit.errors import ModelError
from flowedit.wan import fast
from flowedit.wan.adapter import positions
from flowedit.wan.blocks import Kernels
from flowedit.wan.fast import KERNELS, use_fast_blocks


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"vace"}))
def test_every_family_gives_the_vendors_numbers(family):
    dit = small_dit(family)
    expected = forward(dit)
    use_fast_blocks(dit, backend=None)
    torch.testing.assert_close(forward(dit), expected, atol=2e-5, rtol=2e-5)


def test_repeated_positions_reach_the_fast_blocks():
    """Tables kept from the forward before would give every call the first one's positions."""
    dit = small_dit("t2v")
    with positions(dit, [0, 1, 1]):
        expected = forward(dit)
    use_fast_blocks(dit, backend=None)
    counted = forward(dit)
    with positions(dit, [0, 1, 1]):
        torch.testing.assert_close(forward(dit), expected, atol=2e-5, rtol=2e-5)
    assert not torch.allclose(counted, expected, atol=1e-3)


def test_the_block_compiles_without_a_graph_break():
    dit = small_dit("i2v")
    kernel = KERNELS["default"]
    whole = torch.compile(fast.computing(Kernels(kernel, kernel)), fullgraph=True, backend="eager")
    x, context = torch.randn(1, 12, 48), torch.randn(1, 257 + 8, 48)
    rotation = torch.randn(12, 1, 24), torch.randn(12, 1, 24)
    with torch.no_grad():
        assert whole(dit.blocks[0], x, context, torch.randn(1, 6, 48), rotation).shape == x.shape


def test_a_compiled_forward_equals_the_plain_one():
    dit = small_dit("t2v")
    expected = forward(dit)
    use_fast_blocks(dit, backend="aot_eager")
    torch.testing.assert_close(forward(dit), expected, atol=2e-5, rtol=2e-5)


def test_what_cannot_run_is_refused():
    dit = small_dit("t2v")
    dit.vram_management_enabled = True
    with pytest.raises(ModelError, match="resident"):
        use_fast_blocks(dit, backend=None)


@pytest.fixture
def flash3(monkeypatch):
    """Sets what is found of FlashAttention-3."""
    return lambda call: monkeypatch.setattr(fast, "find_flash3", lambda: fast.Flash3(call, "FlashAttention-3 is away"))


def test_flash_attention_3_is_named_when_it_is_missing(flash3):
    flash3(None)
    with pytest.raises(ModelError, match=r"FlashAttention-3 is away\. Install fa3-fwd"):
        KERNELS["flash3"](*torch.zeros(3, 1, 1, 1, 1))


def test_flash_attention_3_takes_what_the_library_takes(flash3):
    """Its stand-in takes tokens before heads, and gives what PyTorch gives."""
    q, k, v = (torch.randn(2, 3, n, 16, generator=torch.Generator().manual_seed(n)) for n in (5, 7, 7))
    shapes = []

    def library(q, k, v):
        shapes.append((q.shape, k.shape))
        made = torch.nn.functional.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (q, k, v)))
        return made.transpose(1, 2).contiguous(), None

    flash3(library)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    found = fast.flash3(q, k, v)
    assert torch.equal(found, expected)
    assert shapes == [((2, 5, 3, 16), (2, 7, 3, 16))]
    compiled = torch.compile(lambda *given: fast.flash3(*given) + 0, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(q, k, v), expected)
    with torch._subclasses.FakeTensorMode() as mode:
        said = fast.flash3(*(mode.from_tensor(each) for each in (q, k, v)))
    assert said.shape == found.shape
    assert said.stride() == found.stride()


@pytest.mark.parametrize(
    ("capability", "dtype", "library", "kernel"),
    [
        ((9, 0), torch.bfloat16, print, "flash3 (FlashAttention-3 is away)"),
        ((9, 0), torch.bfloat16, None, "cudnn (FlashAttention-3 is away)"),
        ((9, 0), torch.float16, print, "cudnn"),
        ((10, 0), torch.bfloat16, print, "cudnn"),
        ((8, 0), torch.bfloat16, print, "default"),
        ((9, 0), torch.float32, print, "default"),
    ],
)
def test_each_gpu_gets_the_kernel_that_suits_it_and_says_so(monkeypatch, flash3, capability, dtype, library, kernel):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda _: True))
    flash3(library)
    assert fast.attention_name(torch.zeros(1, dtype=dtype)) == kernel


@pytest.mark.parametrize("kind", [ImportError, OSError, RuntimeError, AttributeError])
def test_a_flash_attention_built_for_another_pytorch_is_not_used_and_says_why(monkeypatch, kind):
    def broken(name):
        raise kind("undefined symbol\nmore")

    monkeypatch.setattr(fast, "import_module", broken)
    monkeypatch.setattr(fast, "find_spec", lambda name: name == "fa3_fwd_interface")
    fast.find_flash3.cache_clear()
    found = fast.find_flash3()
    fast.find_flash3.cache_clear()
    assert found.call is None
    assert found.said == "FlashAttention-3 (fa3_fwd_interface) is installed and does not load: undefined symbol"
