"""Encodings kept on disk, keyed by what they are the encoding of: words and clips are encoded once, on any day.

An entry is one safetensors file named by a digest of its content's key. Entries are written in one move; when the
folder grows over its cap, those used longest ago go first.
"""

import gc
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache as once
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from flowedit.errors import OutputError
from flowedit.files import digest_of, make_folder, write_bytes
from flowedit.wan import vendor
from flowedit.wan.checkpoints import TEXT
from flowedit.wan.loading import load_pipeline
from flowedit.wan.placement import Placement


class EncodingCache:
    """Tensors in a folder, the user's cache folder where none is given, at most `cap` bytes together."""

    def __init__(self, folder: Path | None = None, *, cap: int = 4_000_000_000) -> None:
        from platformdirs import user_cache_path

        self.folder = folder if folder is not None else user_cache_path("flowedit") / "encodings"
        self.cap = cap

    def get(self, key: tuple[Any, ...], make: Callable[[], Tensor]) -> Tensor:
        """The tensor of a key, on the CPU: read if it is there, else made, and kept if the folder takes it.

        The key is everything that decides the tensor: kind, model hash, text or pixels, type. A folder that cannot be
        written is warned of.
        """
        path = self.folder / f"{digest_of(*key)}.safetensors"
        with suppress(FileNotFoundError, NotADirectoryError, SafetensorError):
            (tensor,) = load(path.read_bytes()).values()
            with suppress(PermissionError):  # a folder that may only be read keeps no times
                path.touch()
            return tensor
        tensor = make().detach().cpu().contiguous()
        content = save({"encoding": tensor})
        if len(content) <= self.cap:
            try:
                self._trim(self.cap - len(content))
                make_folder(self.folder)
                write_bytes(path, content)
            except OutputError as error:
                warnings.warn(f"Encodings are not kept: {error}", stacklevel=2)
        return tensor

    def _trim(self, room: int) -> None:
        """Remove the entries used longest ago until the rest fits."""
        entries = [(path.stat(), path) for path in self.folder.glob("*.safetensors")]
        held = sum(stat.st_size for stat, _ in entries)
        for stat, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
            if held <= room:
                break
            path.unlink(missing_ok=True)
            held -= stat.st_size


def remember_encodings(vae: Any, cache: EncodingCache, *weights: Path) -> None:  # noqa: ANN401 - the vendor's VAE
    """Let a VAE read back what it encoded before, on any day: clips, keyframes, and the grey clip of the `i2v` route.

    Its `encode` is replaced on this instance; the files of its weights are part of what decides its latents.
    """
    encode, source = vae.encode, []
    for path in weights:
        with path.open("rb") as stream:
            source.append(file_digest(stream, "sha256").hexdigest())

    def remembered(videos: Any, **how: Any) -> Tensor:  # noqa: ANN401 - the vendor's arguments
        if not isinstance(videos, Tensor):
            return encode(videos, **how)
        tiles = [(name, str(value)) for name, value in sorted(how.items()) if name != "device"]
        # Of a grey clip that keyframes stand in, a keyframe is all there is to read.
        marked = videos.ne(0).any(dim=4).any(dim=3).any(dim=1).any(dim=0)
        shown = videos.detach()[:, :, marked].cpu().contiguous()
        pixels = sha256(shown.view(torch.uint8).numpy().data).hexdigest()
        size = [str(shown.dtype), list(videos.shape), marked.nonzero().flatten().tolist()]
        key = ("latents", source, (size, pixels), videos.device.type, tiles)
        return cache.get(key, lambda: encode(videos, **how)).to(how.get("device", videos.device))

    vae.encode = remembered


def encode_prompts(
    name_or_path: str | Path,
    prompts: Sequence[str],
    place: Placement | str = "cpu",
    cache: EncodingCache | None = None,
) -> list[Float[Tensor, "1 n d"]]:
    """Contexts of prompts, on the CPU, in bfloat16 (float32 where the GPU has no bfloat16).

    The text encoder is loaded alone, only for prompts that are not in the cache (None is the user's), and let go. All
    Wan checkpoints share one, so that an encoding made for one serves every other.
    """
    cache = cache or EncodingCache()
    kind = "bfloat16" if isinstance(place, str) else place.dtype_name
    encoder = once(lambda: load_pipeline(name_or_path, place, roles=("text",)).pipe)
    found = [
        cache.get(("text", TEXT.hash, prompt, kind), lambda prompt=prompt: encode_prompt(encoder(), prompt))
        for prompt in prompts
    ]
    encoder.cache_clear()
    gc.collect()
    return found


@torch.no_grad()
def encode_prompt(pipe: "vendor.WanVideoPipeline", prompt: str) -> Float[Tensor, "1 n d"]:
    """Encode one prompt with a loaded pipeline, through the vendor's own unit."""
    pipe.load_models_to_device(["text_encoder"])
    return vendor.WanVideoUnit_PromptEmbedder().encode_prompt(pipe, prompt)
