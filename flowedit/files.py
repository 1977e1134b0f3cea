"""Files that appear under their names whole or not at all: the one way in which this package writes."""

import json
import math
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from flowedit.errors import OutputError

Json = dict[str, Any] | list[Any] | tuple[Any, ...] | str | float | bool | None
"""What JSON holds, tuples as lists."""


@contextmanager
def atomic_write(path: Path) -> Generator[Path, None, None]:
    """A hidden file beside `path`, of the same suffix, to write to; when the block ends it takes the place of `path`.

    Where the block raises, and where the program is killed in it, `path` is what it was. Its folder must be there.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        with part.open("rb+") as file:  # on the disk before the name says so
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise unwritten(path, error) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def make_folder(folder: Path) -> Path:
    """Make a folder, and those above it, where it is not there, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten(folder, error) from None
    return folder


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all, as `atomic_write` does, and return its path."""
    with atomic_write(path) as part:
        part.write_bytes(data)
    return path


def cleaned(text: str) -> str:
    r"""Text with what is no character, as in names that are not UTF-8, escaped: `caf\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode()


def only_file(path: Path) -> Path:
    """The path, unless a folder, pipe or device is there, which could be waited for without end: an `OSError`."""
    if path.exists() and not path.is_file():
        raise OSError("it is no file but a folder, pipe or device")
    return path


def write_text(path: Path, text: str) -> Path:
    """`write_bytes` of text in UTF-8, cleaned."""
    return write_bytes(path, cleaned(text).encode())


def write_json(path: Path, data: Json, *, indent: int = 2) -> Path:
    """`write_text` of `to_json`."""
    return write_text(path, to_json(data, indent) + "\n")


def to_json(data: Json, indent: int) -> str:
    """JSON that every reader accepts, indented: NaN and infinities become null, and text is cleaned."""
    return json.dumps(_plain(data), indent=indent, ensure_ascii=False)


def unwritten(path: Path, error: Exception) -> OutputError:
    """The error of a file that could not be written, in one line, whatever library said why."""
    said = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    return OutputError(f"Cannot write {path} ({said}); free some space or choose another folder.")


def _plain(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return cleaned(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def digest_of(*parts: Any) -> str:  # noqa: ANN401 - settings, names, arrays: whatever decides the result
    """Digest of dataclasses, plain values, bytes, arrays and tensors, in a fixed order.

    What decides a run's result goes in, so that a state is never carried into another run.
    """
    digest = sha256()
    for piece in (piece for part in parts for piece in _pieces(part)):
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()


def _pieces(part: Any) -> list[bytes]:  # noqa: ANN401
    if isinstance(part, bytes):
        return [b"bytes", part]
    if hasattr(part, "detach"):
        part = part.detach().cpu().float().numpy()
    if hasattr(part, "tobytes") and hasattr(part, "dtype"):
        return [f"array {part.dtype} {part.shape}".encode(), part.tobytes()]
    if is_dataclass(part) and not isinstance(part, type):
        part = {"": type(part).__name__, **asdict(part)}
    return [json.dumps(part, sort_keys=True, default=str).encode()]
