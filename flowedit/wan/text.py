"""Prompts encoded once: the text encoder is loaded alone, runs, and is let go; what it said is kept on disk."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from flowedit.wan.cache import EncodingCache
from flowedit.wan.checkpoints import TEXT
from flowedit.wan.loading import load_pipeline

if TYPE_CHECKING:
    from flowedit.wan import vendor
    from flowedit.wan.fit import Fit


def encode_prompts(
    name_or_path: str | Path,
    prompts: Sequence[str],
    *,
    fit: "Fit | None" = None,
    device: str = "cpu",
    cache: EncodingCache | None = None,
) -> list[Float[Tensor, "1 n d"]]:
    """Encode prompts with a checkpoint's text encoder, loading it only for those that are not in the cache.

    All Wan checkpoints share one text encoder, so an encoding made for one serves every other.

    Args:
        name_or_path: a registered name or alias, or a folder.
        prompts: the texts.
        fit: how the encoder is placed, from `flowedit.wan.fit`.
        device: where it computes.
        cache: where encodings are kept; None means the user's cache folder.

    Returns:
        One context per prompt, on the CPU, in bfloat16 (float32 where the GPU has no bfloat16).

    Raises:
        ModelError: the encoder or the tokenizer is not there, or broken.
    """
    cache = cache or EncodingCache()
    keys = [("text", TEXT.hash, prompt, fit.dtype_name if fit else "bfloat16") for prompt in prompts]
    missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if cache.read(key) is None}
    made: dict[tuple[str, ...], Tensor] = {}
    if missing:
        pipe, _ = load_pipeline(name_or_path, fit=fit, device=device, roles=("text",))
        made = {key: encode_prompt(pipe, prompt) for key, prompt in missing.items()}
        del pipe
        gc.collect()
    return [cache.get(key, lambda key=key: {"context": made[key]})["context"] for key in keys]


def encode_prompt(pipe: "vendor.WanVideoPipeline", prompt: str) -> Float[Tensor, "1 n d"]:
    """Encode one prompt with a loaded pipeline, through the vendor's own unit."""
    import torch
    from diffsynth.pipelines.wan_video import WanVideoUnit_PromptEmbedder

    pipe.load_models_to_device(["text_encoder"])
    with torch.no_grad():
        return WanVideoUnit_PromptEmbedder().encode_prompt(pipe, prompt).detach().cpu()
