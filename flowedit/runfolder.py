"""A run's output folder: claimed before the work, filled all at once after it, never holding half a run."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowedit.errors import OutputError
from flowedit.files import make_folder, unwritten, write_bytes

MANIFEST, EDITED, COMPARISON = "run.json", "edited.mp4", "comparison.mp4"
SHEET, TRACE, REPORT = "contact-sheet.png", "trace.csv", "report.html"
STATE = "state.safetensors"
"""Where a long run can go on after a crash; gone once it is done."""
STOPPED, STOPPED_TRACE = "stopped.json", "stopped-trace.csv"
"""Why a run stopped early, and its trace where `trace.csv` is an earlier run's; gone once a run is done."""
RUN_FILES = (MANIFEST, EDITED, COMPARISON, SHEET, TRACE, REPORT, STATE, STOPPED, STOPPED_TRACE)
"""All that a run may leave. Anything else in the folder is the user's."""
_FRESH = ".flowedit-new"
"""Inside the folder, so that what was written there takes its place by a rename."""


@contextmanager
def claimed(folder: Path, *, overwrite: bool = False) -> Generator[Path, None, None]:
    """Claim a folder for a run, made if need be; one that was made goes again if the block fails and leaves it empty.

    Args:
        folder: the folder.
        overwrite: whether an earlier run in it may be replaced.

    Raises:
        OutputError: it holds a run, is not a folder, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder for the results with -o.")
    if holds_run(folder) and not overwrite:
        raise OutputError(f"{folder} already holds a run; choose another folder with -o, or add --overwrite.")
    made = not folder.exists()
    write_bytes(make_folder(folder) / ".flowedit-write-test", b"").unlink()
    try:
        yield folder
    except BaseException:
        if made:
            with suppress(OSError):  # something is in it
                folder.rmdir()
        raise


def holds_run(folder: Path) -> bool:
    """Whether a run is in a folder, whole."""
    return (folder / MANIFEST).exists()


@contextmanager
def replacing(folder: Path) -> Generator[Path, None, None]:
    """A folder for a run's files, which take the places of an earlier run's all together when the block has ended.

    What the earlier run left and this one did not make goes with it. Where the block raises, the folder holds what it
    held before, an earlier run whole.

    Raises:
        OutputError: a file cannot be written or moved.
    """
    fresh = folder / _FRESH
    shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
    try:
        yield make_folder(fresh)
        try:
            for name in RUN_FILES:  # the manifest first: while files move, none says that the folder holds a run
                (folder / name).unlink(missing_ok=True)
            for path in sorted(fresh.iterdir(), key=lambda path: path.name == MANIFEST):
                path.replace(folder / path.name)
        except OSError as error:
            raise unwritten(folder, error) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
