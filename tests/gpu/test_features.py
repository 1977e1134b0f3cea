"""What the pace `fast` is made of, on a device that is known to have it: none of it may be off in silence."""

import pytest
import torch
from small_wan import forward, small_dit, small_vae
from torch.profiler import ProfilerActivity, profile

from flowedit.wan.adapter import WanVideo
from flowedit.wan.fast import FLASH3, attention_name, find_flash3
from flowedit.wan.pace import set_pace
from flowedit.wan.vendor import WanVideoPipeline

HOPPER = torch.cuda.is_available() and torch.cuda.get_device_capability() == (9, 0)


@pytest.fixture
def model():
    pipe = WanVideoPipeline(device="cuda", torch_dtype=torch.bfloat16)
    pipe.dit, pipe.vae = small_dit("t2v", dim=256), small_vae()
    pipe.height_division_factor = pipe.width_division_factor = 16
    return WanVideo(pipe.to(device="cuda", dtype=torch.bfloat16))


def kernels(work):
    """Names of what ran on the GPU."""
    work()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        work()
        torch.cuda.synchronize()
    return [event.key for event in seen.key_averages()]


def test_auto_is_fast_on_a_gpu_and_says_all_that_runs(model):
    said = set_pace(model, "auto")
    assert said.startswith("pace fast: blocks compiled, attention by ")
    assert said.endswith(", the VAE by pairs of frames and whole norms")


@pytest.mark.skipif(not HOPPER, reason="needs a Hopper GPU")
def test_flash_attention_3_runs_on_hopper():
    """It is part of the extra `hopper`; whoever tests on Hopper tests with it."""
    assert find_flash3().call is not None, find_flash3().said
    like = torch.zeros(1, device="cuda", dtype=torch.bfloat16)
    assert attention_name(like).startswith("flash3 (FlashAttention-3 from ")
    assert any(name in attention_name(like) for name in FLASH3)


@pytest.mark.skipif(not HOPPER, reason="needs a Hopper GPU")
@pytest.mark.parametrize("name", ["flash3", "cudnn"])
def test_a_kernel_called_by_name_is_the_one_that_runs(name):
    from flowedit.wan.fast import KERNELS

    q, k, v = torch.randn(3, 1, 2, 256, 128, device="cuda", dtype=torch.bfloat16)
    seen = " ".join(kernels(lambda: KERNELS[name](q, k, v))).lower()
    assert {"flash3": "flash::flashattnfwdsm90", "cudnn": "cudnn"}[name] in seen
    assert torch.allclose(KERNELS[name](q, k, v), KERNELS["default"](q, k, v), atol=2e-2)


@pytest.mark.usefixtures("moved")
def test_the_fast_blocks_run_operators_of_their_own(model):
    set_pace(model, "fast")
    seen = kernels(lambda: forward(model.pipe.dit))
    assert "flowedit::gelu_linear" in seen
    assert ("flowedit::flash3" in seen) == HOPPER


def test_the_fast_vae_runs_its_own_passes_and_gives_the_vendors_frames(model):
    vae = model.pipe.vae
    clip = torch.rand(1, 3, 9, 64, 64, device="cuda", dtype=torch.bfloat16) * 2 - 1

    def both():
        with torch.inference_mode():
            latents = vae.encode(clip, device="cuda").to("cuda", torch.bfloat16)
            return vae.decode(latents, device="cuda")

    expected = both().float()
    set_pace(model, "fast")
    error = (both().float() - expected).norm() / expected.norm()
    assert error < 0.05
    # The norm, the bias, two halves of a pair of frames, and the enlarged picture.
    assert sum(name.startswith("triton_") for name in kernels(both)) >= 5
