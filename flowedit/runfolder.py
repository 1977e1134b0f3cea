"""A run's output folder: claimed before the work, filled by atomic renames, never holding half a file."""

import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flowedit.errors import OutputError

MANIFEST = "run.json"
EDITED, COMPARISON, SHEET, TRACE, REPORT = (
    "edited.mp4",
    "comparison.mp4",
    "contact-sheet.png",
    "trace.csv",
    "report.html",
)
STATE = "state.safetensors"
"""Where a long run can go on after a crash; gone once it is done."""
STOPPED, STOPPED_TRACE = "stopped.json", "stopped-trace.csv"
"""Why a run stopped early, and its trace where `trace.csv` is an earlier run's; gone once a run is done."""
RUN_FILES = (MANIFEST, EDITED, COMPARISON, SHEET, TRACE, REPORT, STATE, STOPPED, STOPPED_TRACE)
"""All that a run may leave. Anything else in the folder is the user's."""
Json = dict[str, Any] | list[Any] | tuple[Any, ...] | str | float | bool | None
"""What JSON holds, tuples as lists."""
_FRESH = ".flowedit-new"
"""Inside the folder, so that what was written there takes its place by a rename."""


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

    @property
    def holds_run(self) -> bool:
        """Whether an earlier run is in it, whole."""
        return self.file(MANIFEST).exists()

    @contextmanager
    def replacing(self) -> Generator["RunFolder", None, None]:
        """A folder for a run's files, which take the places of an earlier run's all together when the block has ended.

        What the earlier run left and this one did not make goes with it. Where the block raises, the folder holds what
        it held before, an earlier run whole.

        Raises:
            OutputError: a file cannot be moved.
        """
        fresh = self.path / _FRESH
        shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
        try:
            yield RunFolder(fresh)
            self._take(fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _take(self, fresh: Path) -> None:
        """Move a run's files here; while they move, no manifest says that the folder holds a run."""
        try:
            for name in RUN_FILES:  # the manifest first
                self.file(name).unlink(missing_ok=True)
            for path in sorted(fresh.iterdir(), key=lambda path: path.name == MANIFEST):
                path.replace(self.file(path.name))
        except OSError as error:
            raise OutputError(f"Cannot write to {self.path} ({error.strerror}); choose another with -o.") from None

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


def _finite(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
