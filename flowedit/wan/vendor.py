"""The one place where diffsynth is imported: the classes and functions of it that flowedit uses, by name.

Each name is loaded when it is first read, so that training, which needs two model classes, does not wait for the
whole pipeline and its tokenizer libraries.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowedit.wan.deferred import deferring

if TYPE_CHECKING:
    from diffsynth.diffusion import FlowMatchScheduler
    from diffsynth.models.wan_video_dit import (
        CrossAttention,
        DiTBlock,
        RMSNorm,
        SelfAttention,
        WanModel,
        precompute_freqs_cis_3d,
        rope_apply,
        sinusoidal_embedding_1d,
    )
    from diffsynth.models.wan_video_text_encoder import HuggingfaceTokenizer, WanTextEncoder
    from diffsynth.models.wan_video_vae import (
        AttentionBlock,
        CausalConv3d,
        Resample,
        ResidualBlock,
        RMS_norm,
        VideoVAE_,
        WanVideoVAE,
        WanVideoVAE38,
    )
    from diffsynth.pipelines.wan_video import (
        ModelConfig,
        WanVideoPipeline,
        WanVideoUnit_PromptEmbedder,
        model_fn_wan_video,
    )

__all__ = [
    "AttentionBlock",
    "CausalConv3d",
    "CrossAttention",
    "DiTBlock",
    "FlowMatchScheduler",
    "HuggingfaceTokenizer",
    "ModelConfig",
    "RMSNorm",
    "RMS_norm",
    "Resample",
    "ResidualBlock",
    "SelfAttention",
    "VideoVAE_",
    "WanModel",
    "WanTextEncoder",
    "WanVideoPipeline",
    "WanVideoUnit_PromptEmbedder",
    "WanVideoVAE",
    "WanVideoVAE38",
    "model_fn_wan_video",
    "precompute_freqs_cis_3d",
    "rope_apply",
    "sinusoidal_embedding_1d",
]

_HOMES = {
    "sinusoidal_embedding_1d": "diffsynth.models.wan_video_dit",
    "RMSNorm": "diffsynth.models.wan_video_dit",
    "CrossAttention": "diffsynth.models.wan_video_dit",
    "SelfAttention": "diffsynth.models.wan_video_dit",
    "DiTBlock": "diffsynth.models.wan_video_dit",
    "RMS_norm": "diffsynth.models.wan_video_vae",
    "ResidualBlock": "diffsynth.models.wan_video_vae",
    "Resample": "diffsynth.models.wan_video_vae",
    "CausalConv3d": "diffsynth.models.wan_video_vae",
    "AttentionBlock": "diffsynth.models.wan_video_vae",
    "FlowMatchScheduler": "diffsynth.diffusion",
    "HuggingfaceTokenizer": "diffsynth.models.wan_video_text_encoder",
    "ModelConfig": "diffsynth.pipelines.wan_video",
    "VideoVAE_": "diffsynth.models.wan_video_vae",
    "WanModel": "diffsynth.models.wan_video_dit",
    "WanTextEncoder": "diffsynth.models.wan_video_text_encoder",
    "WanVideoPipeline": "diffsynth.pipelines.wan_video",
    "WanVideoUnit_PromptEmbedder": "diffsynth.pipelines.wan_video",
    "WanVideoVAE": "diffsynth.models.wan_video_vae",
    "WanVideoVAE38": "diffsynth.models.wan_video_vae",
    "model_fn_wan_video": "diffsynth.pipelines.wan_video",
    "precompute_freqs_cis_3d": "diffsynth.models.wan_video_dit",
    "rope_apply": "diffsynth.models.wan_video_dit",
}

_LATER = (
    "accelerate",
    "ftfy",
    "huggingface_hub",
    "imageio",
    "modelscope",
    "pandas",
    "torch.nn.attention.flex_attention",
    "torchvision",
    "transformers",
)
"""What the vendor's files name at their top and an edit does not use: most of the time that importing them takes."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    """Load one vendor name.

    Args:
        name: one of ``__all__``.

    Returns:
        The vendor's object.

    Raises:
        AttributeError: the name is not one that flowedit uses.
    """
    if name not in _HOMES:
        raise AttributeError(f"flowedit.wan.vendor has no {name!r}; it offers {', '.join(__all__)}.")
    with deferring(*_LATER):
        value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
