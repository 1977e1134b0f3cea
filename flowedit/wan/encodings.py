"""Encodings kept on disk, keyed by what they are the encoding of: words and clips are encoded once, on any day.

An entry is one safetensors file named by a digest of its content's key. Entries are written in one move; when the
folder grows over its cap, those used longest ago go first.
"""

import gc
import warnings
from collections.abc import Callable, Mapping, Sequence
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

DEFAULT_CAP = 4_000_000_000
"""Bytes that the folder may hold."""


class EncodingCache:
    """Tensors in a folder, by content, at most `cap` bytes together.

    Example:
        >>> cache = EncodingCache(Path("encodings"))  # doctest: +SKIP
        >>> cache.get(("text", "a cat", model_hash), lambda: {"context": encode("a cat")})  # doctest: +SKIP
    """

    def __init__(self, folder: Path | None = None, *, cap: int = DEFAULT_CAP) -> None:
        """Use a folder; None means the user's cache folder."""
        from platformdirs import user_cache_path

        self.folder = folder if folder is not None else user_cache_path("flowedit") / "encodings"
        self.cap = cap

    def get(self, key: tuple[Any, ...], make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of a key, on the CPU: read if they are there, else made, and kept if the folder takes them.

        Args:
            key: everything that decides the tensors: kind, model hash, text or pixels, type.
            make: called once when they are not there.

        Warns:
            UserWarning: the folder cannot be written, so that they will be made again.
        """
        found = self.read(key)
        if found is not None:
            return found
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in make().items()}
        try:
            self._write(key, tensors)
        except OutputError as error:
            warnings.warn(f"Encodings are not kept: {error}", stacklevel=2)
        return tensors

    def read(self, key: tuple[Any, ...]) -> dict[str, Tensor] | None:
        """The tensors of a key, or None; a broken entry counts as none and will be written anew."""
        path = self._path(key)
        try:
            tensors = load(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, SafetensorError):
            return None
        with suppress(PermissionError):  # a folder that may only be read keeps no times
            path.touch()
        return tensors

    def _write(self, key: tuple[Any, ...], tensors: dict[str, Tensor]) -> None:
        content = save({name: tensor.clone() for name, tensor in tensors.items()})
        if len(content) <= self.cap:
            self._trim(self.cap - len(content))
            make_folder(self.folder)
            write_bytes(self._path(key), content)

    def _path(self, key: tuple[Any, ...]) -> Path:
        return self.folder / f"{digest_of(*key)}.safetensors"

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
    encode = vae.encode
    source = [_file_digest(path) for path in weights]

    def remembered(videos: Any, **how: Any) -> Tensor:  # noqa: ANN401 - the vendor's arguments
        if not isinstance(videos, Tensor):
            return encode(videos, **how)
        tiles = [(name, str(value)) for name, value in sorted(how.items()) if name != "device"]
        shown = videos.detach().cpu().contiguous()
        pixels = sha256(shown.view(torch.uint8).numpy().data).hexdigest()
        key = ("latents", source, (str(shown.dtype), list(shown.shape), pixels), videos.device.type, tiles)
        latents = cache.get(key, lambda: {"latents": encode(videos, **how)})["latents"]
        return latents.to(how.get("device", videos.device))

    vae.encode = remembered


def encode_prompts(
    name_or_path: str | Path,
    prompts: Sequence[str],
    place: Placement | str = "cpu",
    cache: EncodingCache | None = None,
) -> list[Float[Tensor, "1 n d"]]:
    """Encode prompts with a checkpoint's text encoder, loading it only for those that are not in the cache.

    All Wan checkpoints share one text encoder, so an encoding made for one serves every other. It is loaded alone,
    runs, and is let go.

    Args:
        name_or_path: a registered name or alias, or a folder.
        prompts: the texts.
        place: where the encoder rests and computes, or the one device for both.
        cache: where encodings are kept; None means the user's cache folder.

    Returns:
        One context per prompt, on the CPU, in bfloat16 (float32 where the GPU has no bfloat16).

    Raises:
        ModelError: the encoder or the tokenizer is not there, or broken.
    """
    cache = cache or EncodingCache()
    kind = "bfloat16" if isinstance(place, str) else place.dtype_name
    encoder = once(lambda: load_pipeline(name_or_path, place, roles=("text",)).pipe)
    found = [
        cache.get(
            ("text", TEXT.hash, prompt, kind), lambda prompt=prompt: {"context": encode_prompt(encoder(), prompt)}
        )
        for prompt in prompts
    ]
    encoder.cache_clear()
    gc.collect()
    return [tensors["context"] for tensors in found]


def encode_prompt(pipe: "vendor.WanVideoPipeline", prompt: str) -> Float[Tensor, "1 n d"]:
    """Encode one prompt with a loaded pipeline, through the vendor's own unit."""
    pipe.load_models_to_device(["text_encoder"])
    with torch.no_grad():
        return vendor.WanVideoUnit_PromptEmbedder().encode_prompt(pipe, prompt).detach().cpu()


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
