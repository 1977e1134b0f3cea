"""A run's output folder: claimed before the work, filled by atomic renames, never holding half a file."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowedit.errors import OutputError

MANIFEST = "run.json"


class RunFolder:
    """The folder that a run writes to.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        """Claim a folder, making it if need be.

        Args:
            path: the folder.
            overwrite: whether an earlier run in it may be replaced.

        Raises:
            OutputError: it holds a run, is not a folder, or cannot be written.
        """
        self.path = path
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file; give a folder for the results with -o.")
        if (path / MANIFEST).exists() and not overwrite:
            raise OutputError(f"{path} already holds a run; choose another folder with -o, or add --overwrite.")
        self._made = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            probe = path / ".flowedit-write-test"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise OutputError(f"Cannot write to {path} ({error.strerror}); choose another folder with -o.") from None

    def abandon(self) -> None:
        """Take the folder away again if this claim made it and nothing is in it."""
        if self._made:
            with suppress(OSError):
                self.path.rmdir()

    def file(self, name: str) -> Path:
        """The path of a result in the folder."""
        return self.path / name

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file so that it appears whole or not at all.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        return self.write_bytes(name, text.encode("utf-8"))

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write a file so that it appears whole or not at all.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        target = self.file(name)
        partial = target.with_name(f".{target.name}.part")
        try:
            with partial.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(f"Cannot write {target} ({error.strerror}); free some space or choose another.") from None
        return target

    def write_json(self, name: str, data: dict[str, Any]) -> Path:
        """Write JSON, indented; NaN and infinities become null, which every reader accepts."""
        return self.write_text(name, json.dumps(_finite(data), indent=2, ensure_ascii=False) + "\n")


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
