"""Encodings kept on disk, keyed by what they are the encoding of: text is encoded once, on any day.

An entry is one safetensors file named by a digest of its content's key. Entries are written in one move; when the
folder grows over its cap, those used longest ago go first.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowedit.errors import OutputError
from flowedit.wan.resume import hash_settings, write_atomically

DEFAULT_CAP = 4_000_000_000
"""Bytes that the folder may hold."""


class EncodingCache:
    """Tensors on disk, by content.

    Attributes:
        folder: where the entries lie.
        cap: bytes that they may take together.

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
        """The tensors of a key: read if they are there, else made and kept.

        Args:
            key: everything that decides the tensors: kind, model hash, text or pixels, type.
            make: called once when they are not there.

        Returns:
            The tensors on the CPU; the very values that `make` gave, in their types.

        Raises:
            OutputError: the folder cannot be written.
        """
        found = self.read(key)
        if found is not None:
            return found
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in make().items()}
        self._write(key, tensors)
        return tensors

    def read(self, key: tuple[Any, ...]) -> dict[str, Tensor] | None:
        """The tensors of a key, or None; a broken entry counts as none and is removed."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self._path(key)
        try:
            tensors = load(path.read_bytes())
        except OSError:
            return None
        except SafetensorError:
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            path.touch()
        return tensors

    def clear(self) -> int:
        """Remove every entry; the bytes that were freed."""
        return self._trim(0)

    def _write(self, key: tuple[Any, ...], tensors: dict[str, Tensor]) -> None:
        from safetensors.torch import save

        content = save({name: tensor.clone() for name, tensor in tensors.items()})
        if len(content) <= self.cap:
            self._trim(self.cap - len(content))
            write_atomically(self._path(key), content)

    def _path(self, key: tuple[Any, ...]) -> Path:
        return self.folder / f"{hash_settings(*key)}.safetensors"

    def _trim(self, room: int) -> int:
        """Remove the entries used longest ago until the rest fits."""
        entries = [(path.stat(), path) for path in self.folder.glob("*.safetensors")]
        entries.sort(key=lambda entry: entry[0].st_mtime_ns)
        held, freed = sum(stat.st_size for stat, _ in entries), 0
        for stat, path in entries:
            if held - freed <= room:
                break
            path.unlink(missing_ok=True)
            freed += stat.st_size
        return freed


def remember_encodings(vae: Any, cache: EncodingCache, *weights: Path) -> None:  # noqa: ANN401 - the vendor's VAE
    """Let a VAE read back what it encoded before, on any day: clips, keyframes, and the grey clip of the `i2v` route.

    Args:
        vae: the vendor's; its `encode` is replaced on this instance.
        cache: where the latents are kept.
        weights: the files that it was loaded from, which are part of what decides its latents.
    """
    encode = vae.encode
    source = [_file_digest(path) for path in weights]

    def remembered(videos: Any, **how: Any) -> Tensor:  # noqa: ANN401 - the vendor's arguments
        if not isinstance(videos, Tensor):
            return encode(videos, **how)
        tiles = [(name, str(value)) for name, value in sorted(how.items()) if name != "device"]
        shown = videos.detach().cpu().contiguous()
        pixels = sha256(shown.view(torch.uint8).numpy().data).hexdigest()
        clip = (str(shown.dtype), list(shown.shape), pixels)
        key = ("latents", source, clip, videos.device.type, tiles)
        found = cache.read(key)
        if found is not None:
            return found["latents"].to(how.get("device", videos.device))
        latents = encode(videos, **how)
        with suppress(OutputError):  # a full disk is no reason to stop an edit
            cache.get(key, lambda: {"latents": latents})
        return latents

    vae.encode = remembered


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
