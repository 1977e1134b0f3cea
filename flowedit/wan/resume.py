"""The state of a long run on disk, so that a run that was killed goes on where it was and ends the same.

A state is one safetensors file, written beside its place and moved there in one step: after a crash at any moment
there is either the old state or the new one, never half of one.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from flowedit.errors import ModelError, OutputError

FORMAT = "flowedit-state-1"


class State(NamedTuple):
    """What a run needs to go on.

    Attributes:
        step: number of steps done; the next one has this index.
        tensors: latents, noise and whatever else the loop carries, on the CPU in the type they were saved in.
    """

    step: int
    tensors: dict[str, Tensor]


def hash_settings(*parts: Any) -> str:  # noqa: ANN401 - settings, names, arrays: whatever decides the result
    """Digest of everything that decides a run's result, so that a state is never carried into another run.

    Args:
        parts: dataclasses, plain values, bytes, NumPy arrays or tensors, in a fixed order.
    """
    digest = sha256()
    for part in parts:
        for piece in _pieces(part):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
    return digest.hexdigest()


def save_state(path: Path, step: int, tensors: Mapping[str, Tensor], settings_hash: str) -> None:
    """Write the state of a run, replacing the one before in a single move.

    Args:
        path: the state's file, `.safetensors`.
        step: number of steps done.
        tensors: what the loop carries; kept bit for bit in their types.
        settings_hash: from `hash_settings`.

    Raises:
        OutputError: the folder cannot be written; a state that is there stays whole.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "step": str(step), "settings": settings_hash}
    write_atomically(path, save(plain, metadata=metadata))


def load_state(path: Path, settings_hash: str) -> State | None:
    """Read the state of a run; None when there is none.

    Args:
        path: where `save_state` wrote it.
        settings_hash: of the run that wants to go on.

    Raises:
        ModelError: the state is of a run with other settings, or the file is no state.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is no saved state, or a broken one. Delete it to start from the beginning."
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path} was not written by this version's runs. Delete it to start from the beginning.")
    if metadata["settings"] != settings_hash:
        raise ModelError(
            f"{path} belongs to a run with other settings, source, keyframes or LoRAs. "
            "Give those, or delete it to start from the beginning."
        )
    return State(int(metadata["step"]), tensors)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it to disk, and move it there in one step.

    Raises:
        OutputError: the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror}). Free the disk, or choose another folder."
        ) from error


def _pieces(part: Any) -> list[bytes]:  # noqa: ANN401
    if isinstance(part, bytes):
        return [b"bytes", part]
    if isinstance(part, Tensor):
        part = part.detach().cpu().float().numpy()
    if hasattr(part, "tobytes") and hasattr(part, "dtype"):
        return [f"array {part.dtype} {part.shape}".encode(), part.tobytes()]
    if is_dataclass(part) and not isinstance(part, type):
        part = {"": type(part).__name__, **asdict(part)}
    return [json.dumps(part, sort_keys=True, default=str).encode()]
