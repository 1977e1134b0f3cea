"""Weight files on this machine: where fetched ones lie, and what a file really holds, told before anything is loaded.

A safetensors header states every tensor's name, shape and place, so that a file that was cut, renamed or swapped is
found in milliseconds. A `.pth` is opened weights-only and without reading its values.
"""

import hashlib
import os
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from flowedit.errors import ModelError
from flowedit.wan.checkpoints import CHECKPOINTS, Checkpoint, Part, Role

if TYPE_CHECKING:
    import torch

Shapes = dict[str, list[int]]
SUFFIXES = (".safetensors", ".pth")
BASE_PATH_VARIABLE = "DIFFSYNTH_MODEL_BASE_PATH"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})$")
_WRAPPERS = ("state_dict", "module", "model_state")
"""Keys under which a `.pth` may hold its weights, the ones that diffsynth unwraps."""
_PARTS: Mapping[str, tuple[Role, str]] = {
    "wan_video_dit": ("dit", "transformer"),
    "wan_video_text_encoder": ("text", "text encoder"),
    "wan_video_vae": ("vae", "VAE"),
    "wan_video_image_encoder": ("image", "image encoder"),
}
"""The vendor's name of a part -> its role, and its name in words."""


@dataclass(frozen=True)
class WeightFile:
    """One model on disk: a file, or all shards of one.

    Attributes:
        paths: its files, in order.
        hash: diffsynth's fingerprint of the tensor names and shapes.
        role: its place in a Wan pipeline; None when diffsynth does not know it.
    """

    paths: tuple[Path, ...]
    hash: str
    role: Role | None

    def describe(self) -> str:
        """Say in words what it holds."""
        if self.role is None:
            return "weights that diffsynth does not know"
        owners = [entry.name for entry in CHECKPOINTS.values() if any(part.hash == self.hash for part in entry.parts)]
        word = next(word for role, word in _PARTS.values() if role == self.role)
        return f"the {word} of {' or '.join(owners)}" if self.role == "dit" and owners else f"a Wan {word}"


def models_folder() -> Path:
    """Where fetched checkpoints lie: diffsynth's own variable if it is set, else the user's cache folder."""
    from platformdirs import user_cache_path

    given = os.environ.get(BASE_PATH_VARIABLE)
    return Path(given) if given else user_cache_path("flowedit") / "models"


def read_fetched(part: Part, checkpoint: Checkpoint, root: Path) -> WeightFile:
    """The files of one part under a models folder, from either hub, safetensors before `.pth`."""
    found = _find_fetched(part, root)
    if not found:
        raise ModelError(
            f"The {part.role} of {checkpoint.name} is not on this machine. Run `flowedit models fetch "
            f"{checkpoint.name}`, or set {BASE_PATH_VARIABLE} to the folder that holds {part.huggingface[0]}."
        )
    file = read_weights(found)
    if file.hash != part.hash:
        raise ModelError(
            f"{file.paths[0].name} should be the {part.role} of {checkpoint.name} and holds {file.describe()}. "
            "Put each checkpoint's files back in their own folder, or fetch it again."
        )
    return file


def is_fetched(part: Part, root: Path) -> bool:
    """Whether every file of a part lies under a models folder, whole; broken files raise a `ModelError`."""
    found = _find_fetched(part, root)
    return bool(found) and read_weights(found).hash == part.hash


def _find_fetched(part: Part, root: Path) -> list[Path]:
    for repository, pattern in (part.modelscope, part.huggingface):
        stem = pattern.removesuffix(Path(pattern).suffix)
        for suffix in SUFFIXES:
            found = sorted((root / repository).glob(stem + suffix))
            if found:
                return found
    return []


def read_shapes(path: Path) -> Shapes:
    """Names and shapes of the tensors in a `.safetensors` or `.pth` file, without reading their values."""
    if not path.is_file():
        raise ModelError(f"There is no weight file {path}. Check the path, or fetch the checkpoint.")
    if path.suffix not in SUFFIXES:
        raise ModelError(f"{path.name} is not a weight file; flowedit reads {' and '.join(SUFFIXES)}.")
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path.name} is a Git LFS pointer, not the weights. Run `git lfs pull`, or fetch it again.")
    return _safetensors_shapes(path, start) if path.suffix == ".safetensors" else _pth_shapes(path, start)


def fingerprint(shapes: Shapes) -> str:
    """Compute diffsynth's model hash from tensor names and shapes."""
    from flowedit.wan import vendor

    text = vendor.convert_keys_dict_to_single_str(shapes)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def read_weights(paths: Iterable[Path]) -> WeightFile:
    """Check one model's file, or all of its shards, and tell what they hold."""
    ordered = tuple(sorted(paths))
    shapes: Shapes = {}
    for path in ordered:
        found = read_shapes(path)
        twice = shapes.keys() & found.keys()
        if twice:
            raise ModelError(f"{path.name} repeats the tensor {min(twice)!r}: shards of two models are mixed.")
        shapes |= found
    _check_shards(ordered)
    value = fingerprint(shapes)
    known = [_PARTS[entry["model_name"]] for entry in _entries(value) if entry["model_name"] in _PARTS]
    return WeightFile(ordered, value, known[0][0] if known else None)


def scan(folder: Path) -> list[WeightFile]:
    """Find every model under a folder, shards put together, `.pth` files passed over where a safetensors copy is."""
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file() and not any(part.startswith(".") for part in path.parts[-3:]):
            shard = _SHARD.match(path.stem)
            groups.setdefault((path.parent, shard["stem"] if shard else path.name), []).append(path)
    copies = {path.with_suffix("") for paths in groups.values() for path in paths if path.suffix == ".safetensors"}
    kept = [p for p in groups.values() if p[0].suffix == ".safetensors" or p[0].with_suffix("") not in copies]
    if not kept:
        raise ModelError(f"{folder} holds no {' or '.join(SUFFIXES)} file. Give a checkpoint's folder or its name.")
    return [read_weights(paths) for paths in kept]


def _safetensors_shapes(path: Path, start: bytes) -> Shapes:
    try:
        # As for NumPy: for PyTorch the file is mapped so that its whole size counts as memory that was asked for.
        with safe_open(path, framework="np") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no dictionary
    except SafetensorError as error:
        like = "it looks like a .pth (zip) file" if start[:2] == b"PK" else str(error).rpartition(": ")[2]
        raise ModelError(
            f"{path.name} was cut, or is not a safetensors file: {like}. Fetch it again, or give it its own name."
        ) from error


def _pth_shapes(path: Path, start: bytes) -> Shapes:
    import torch

    try:
        state = torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        if start[:2] != b"PK":
            raise ModelError(
                f"{path.name} is no .pth that PyTorch wrote. Give it its own name, or fetch it."
            ) from error
        raise ModelError(
            f"{path.name} holds more than tensors, and reading that could run code: refused. "
            "Use a safetensors file, or one from the checkpoint's own repository."
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise ModelError(f"{path.name} is broken, most likely cut. Fetch it again.") from error
    return {name: list(value.shape) for name, value in unwrap(state, path).items()}


def unwrap(state: object, path: Path) -> "dict[str, torch.Tensor]":
    """Take a `.pth` file's tensors out of the one dictionary around them."""
    if isinstance(state, dict) and len(state) == 1:
        (key, inner) = next(iter(state.items()))
        state = inner if key in _WRAPPERS else state
    if not isinstance(state, dict) or not all(hasattr(value, "shape") for value in state.values()):
        raise ModelError(f"{path.name} holds no plain dictionary of tensors. Use the checkpoint's own file.")
    return state


def _check_shards(paths: tuple[Path, ...]) -> None:
    shards = [_SHARD.match(path.stem) for path in paths]
    totals = {int(shard["total"]) if shard else 0 for shard in shards}
    if len(totals) > 1:
        names = ", ".join(path.name for path in paths)
        raise ModelError(f"These files are not shards of one model: {names}. Keep each model in a folder of its own.")
    (total,) = totals
    missing = set(range(1, total + 1)) - {int(shard["number"]) for shard in shards if shard}
    if missing:
        raise ModelError(f"{paths[0].parent} lacks shard {min(missing)} of {total}. Fetch the checkpoint again.")


def transformer_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Arguments of the vendor's `WanModel` for a checkpoint, from the vendor's own table."""
    entries = _entries(checkpoint.part("dit").hash)
    return dict(next(entry for entry in entries if entry["model_name"] == "wan_video_dit")["extra_kwargs"])


def _entries(value: str) -> list[dict[str, Any]]:
    """What the vendor's table has for a fingerprint."""
    from flowedit.wan import vendor

    return [entry for entry in vendor.MODEL_CONFIGS if entry["model_hash"] == value]
