"""A run's output folder: claimed before the work, filled all at once after it, never holding half a run."""

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from flowedit.errors import OutputError
from flowedit.files import make_folder, unwritten

MANIFEST, EDITED, COMPARISON = "run.json", "edited.mp4", "comparison.mp4"
SHEET, TRACE, REPORT = "contact-sheet.png", "trace.csv", "report.html"
STATE = "state.safetensors"
"""Where a long run can go on after a crash; gone once it is done."""
STOPPED, STOPPED_TRACE = "stopped.json", "stopped-trace.csv"
"""Why a run stopped early, and its trace where `trace.csv` is an earlier run's; gone once a run is done."""
FRAMES = "frames"
UNFINISHED = "unfinished"
"""Where the files lie that were whole when another one could not be written."""
ANIMATIONS = {"gif": "edited.gif", "apng": "edited.png", "webp": "edited.webp"}
RUN_FILES = (
    *(MANIFEST, EDITED, COMPARISON, SHEET, TRACE, REPORT, STATE, STOPPED, STOPPED_TRACE),
    *(FRAMES, *ANIMATIONS.values(), UNFINISHED),
)
"""All that a run may leave. Anything else in the folder is the user's."""
LOCK = ".flowedit-lock"
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
    made = not folder.exists()
    try:
        with held(folder):
            claimable(folder, overwrite=overwrite)
            yield folder
    except BaseException:
        if made:
            with suppress(OSError):  # something is in it
                folder.rmdir()
        raise


def claimable(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds a run which may not be replaced."""
    if holds_run(folder) and not overwrite:
        raise OutputError(f"{folder} already holds a run; choose another folder with -o, or add --overwrite.")


@contextmanager
def held(folder: Path) -> Generator[Path, None, None]:
    """Hold a folder, made if need be, for this process; the hold ends with the process, however it ends.

    Raises:
        OutputError: another process holds it, it is not a folder, or it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder for the results with -o.")
    lock, holder = FileLock(make_folder(folder) / LOCK, timeout=0), folder / f"{LOCK}-holder"
    try:
        lock.acquire()
        holder.write_text(f"process {os.getpid()}, which began at {time.strftime('%H:%M:%S on %d %B')}", "utf-8")
    except Timeout:
        said = holder.read_text("utf-8") if holder.exists() else "another process"
        raise OutputError(f"{folder} is in use by {said}: wait for it, or choose another folder with -o.") from None
    except OSError as error:
        raise unwritten(folder, error) from None
    try:
        yield folder
    finally:
        for path in (holder, folder / LOCK):
            with suppress(OSError):
                path.unlink()
        lock.release()


def holds_run(folder: Path) -> bool:
    """Whether a run is in a folder, whole."""
    return (folder / MANIFEST).exists()


@contextmanager
def replacing(folder: Path) -> Generator[Path, None, None]:
    """A folder for a run's files, which take the places of an earlier run's all together when the block has ended.

    What the earlier run left and this one did not make goes with it. Where the block raises, the folder holds what it
    held before, an earlier run whole; where it could not write, also what was finished, in a folder of its own.

    Raises:
        OutputError: a file cannot be written or moved; it names what is finished.
    """
    fresh = folder / _FRESH
    shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
    try:
        yield make_folder(fresh)
        try:
            for name in RUN_FILES:  # the manifest first: while files move, none says that the folder holds a run
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
                (folder / name).unlink(missing_ok=True)
            for path in sorted(fresh.iterdir(), key=lambda path: path.name == MANIFEST):
                path.replace(folder / path.name)
        except OSError as error:
            raise unwritten(folder, error) from None
    except OutputError as error:
        finished = [path.name for path in fresh.glob("*") if path.name == EDITED or path.name in ANIMATIONS.values()]
        if not finished:
            raise
        with suppress(OSError):
            shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
            fresh.rename(folder / UNFINISHED)
        raise OutputError(f"{error} Finished is {', '.join(finished)} in {folder / UNFINISHED}.") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
