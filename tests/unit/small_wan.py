"""Small random Wan pipelines of every family, and a recorder for what the vendor's own pipeline computes.

The classes are the vendor's; only the widths are small, so that a whole pipeline runs on a CPU in seconds.
"""

import functools
from unittest.mock import patch

import torch
from diffsynth.models.wan_video_dit import WanModel
from diffsynth.models.wan_video_vace import VaceWanModel
from diffsynth.models.wan_video_vae import VideoVAE38_, VideoVAE_, WanVideoVAE, WanVideoVAE38
from diffsynth.pipelines.wan_video import WanVideoPipeline

from flowedit.wan import vendor

TEXT_DIM = 32
SIZES = {
    "dim": 48, "ffn_dim": 64, "out_dim": 16, "text_dim": TEXT_DIM, "freq_dim": 32, "eps": 1e-6,
    "patch_size": (1, 2, 2), "num_heads": 2, "num_layers": 2,
}  # fmt: skip
FAMILIES = {
    "t2v": {"in_dim": 16, "has_image_input": False},
    "i2v": {"in_dim": 36, "has_image_input": True},
    "flf2v": {"in_dim": 36, "has_image_input": True, "has_image_pos_emb": True},
    "i2v-a14b": {"in_dim": 36, "has_image_input": False, "require_clip_embedding": False},
    "vace": {"in_dim": 16, "has_image_input": False},
    "ti2v": {
        "in_dim": 48,
        "out_dim": 48,
        "has_image_input": False,
        "seperated_timestep": True,
        "require_clip_embedding": False,
        "require_vae_embedding": False,
        "fuse_vae_embedding_in_latents": True,
    },
}


def randomise(module, seed):
    """Draw every parameter so that signals keep their size: no output is degenerate and each input moves it."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        centre = 1.0 if "norm" in name and name.endswith(("weight", "gamma")) else 0.0
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 0
        spread = fan_in**-0.5 if fan_in > 1 and not centre else 0.05
        noise = torch.randn(parameter.shape, generator=generator) * spread
        parameter.data = (noise + centre).to(parameter.dtype)
    return module.eval().requires_grad_(False)


_DRAWS = ("kaiming_uniform_", "uniform_", "normal_", "xavier_uniform_")
"""The vendor's slow random initialisation; every value is drawn afterwards."""


def small_vae(family="t2v", seed=1):
    """Make the vendor's VAE, with few channels."""
    kind, net = (WanVideoVAE38, VideoVAE38_) if family == "ti2v" else (WanVideoVAE, VideoVAE_)
    narrow = {"dim": 8, "z_dim": 48, "dec_dim": 8} if family == "ti2v" else {"dim": 8, "z_dim": 16}
    with patch(f"diffsynth.models.wan_video_vae.{net.__name__}", lambda **_: net(**narrow)):
        return randomise(kind(), seed)


class SmallClip(torch.nn.Module):
    """An image encoder of the right output shape: mean colours, projected."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        weights = torch.randn(257 * 1280, 12, generator=torch.Generator().manual_seed(9)).to(dtype)
        self.register_buffer("weights", weights)

    def encode_image(self, videos):
        pooled = torch.cat([torch.nn.functional.adaptive_avg_pool2d(image, 2).flatten(1) for image in videos])
        return (pooled @ self.weights.T).view(-1, 257, 1280)


class SmallText:
    """Stands in for tokenizer and text encoder: a prompt's bytes seed its embedding."""

    def __call__(self, prompt):
        generator = torch.Generator().manual_seed(sum(prompt.encode()) + 1)
        return torch.randn(1, 8, TEXT_DIM, generator=generator)


def small_dit(family, seed=2, **changes):
    """Make the vendor's transformer of this family, two blocks deep."""
    with patch.multiple(torch.nn.init, **dict.fromkeys(_DRAWS, lambda tensor, *_, **__: tensor)):
        return randomise(WanModel(**{**SIZES, **FAMILIES[family], **changes}), seed)


def small_pipeline(family, dtype=torch.float32):
    """Assemble the vendor's pipeline of this family from small random parts."""
    pipe = WanVideoPipeline(device="cpu", torch_dtype=dtype)
    pipe.dit = small_dit(family)
    pipe.vae = small_vae(family)
    if family == "i2v-a14b":
        pipe.dit2 = small_dit(family, seed=3)
    if pipe.dit.has_image_input:
        pipe.image_encoder = SmallClip(dtype)
    if family == "vace":
        pipe.vace = randomise(
            VaceWanModel(vace_layers=(0, 1), vace_in_dim=96, dim=48, num_heads=2, ffn_dim=64, eps=1e-6), seed=4
        )
    pipe.height_division_factor = pipe.width_division_factor = pipe.vae.upsampling_factor * 2
    text = SmallText()
    unit = next(unit for unit in pipe.units if type(unit).__name__ == "WanVideoUnit_PromptEmbedder")
    unit.process = lambda pipe, prompt, positive: {"context": text(prompt).to(pipe.torch_dtype)}
    return pipe.to(dtype=dtype)


def forward(dit, frames=3, dtype=None):
    """One forward of the vendor's model function on a small clip, with whatever this transformer reads beside it."""
    images = dit.in_dim == 36
    shapes = {"latents": (1, 16 if images else dit.in_dim, frames, 6, 8), "context": (1, 8, TEXT_DIM)}
    if images:
        shapes["y"] = (1, 20, frames, 6, 8)
    if dit.has_image_input:
        shapes["clip_feature"] = (1, 514 if dit.has_image_pos_emb else 257, 1280)
    generator = torch.Generator().manual_seed(5)
    given = {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}
    given |= {"timestep": torch.tensor([640.0]).to(dtype), "fuse_vae_embedding_in_latents": dit.seperated_timestep}
    with torch.no_grad():
        return vendor.model_fn_wan_video(dit=dit, **given)


def is_fast(dit):
    """Whether a transformer's blocks run on the fast path."""
    return "forward" in vars(dit.blocks[0])


def record(pipe, **call):
    """Run the vendor's pipeline; return its video and every call of its model function (inputs, output)."""
    calls, inner = [], pipe.model_fn

    def spy(**kwargs):
        copied = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in kwargs.items()}
        output = inner(**kwargs)
        calls.append((copied, output.clone()))
        return output

    with patch.object(pipe, "model_fn", spy):
        video = pipe(**call, progress_bar_cmd=lambda steps: steps, tiled=False, output_type="floatpoint")
    return video, calls


def in_float32(convolution):
    """A convolution computed in float32 and rounded: in bfloat16 a processor takes fifty times as long."""

    @functools.wraps(convolution)
    def convolve(x, weight, bias=None, *more, **named):
        if x.dtype != torch.bfloat16:
            return convolution(x, weight, bias, *more, **named)
        wide = convolution(x.float(), weight.float(), None if bias is None else bias.float(), *more, **named)
        return wide.to(x.dtype)

    return convolve
