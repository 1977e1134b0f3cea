"""Lessons behind a guard: no key and no network in their environment, and a cap on the memory of all they start."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from flowedit.errors import OutputError

_SECRET = re.compile(r"(KEY|TOKEN|SECRET)$")
_OFFLINE = Path(__file__).parent / "offline"
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Capped:
    """What a program under a cap said and took.

    Attributes:
        said: what it printed, errors included.
        peak_megabytes: largest memory of the program and all it started, shared memory counted once.
    """

    said: str
    peak_megabytes: float


def offline_environment(*, package: bool = True) -> dict[str, str]:
    """The caller's environment without keys, with connections refused.

    Args:
        package: put the folder that holds this package first on the path, whatever is installed.
    """
    environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name.upper())}
    own = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")] if package else []
    environment["PYTHONPATH"] = os.pathsep.join(path for path in (str(_OFFLINE), *own) if path)
    environment["OMP_NUM_THREADS"] = "1"  # so that processor time does not depend on who else computes
    return environment


@contextmanager
def refused_connections(log: Path) -> Iterator[list[str]]:
    """Collect the addresses that kernels started inside the block tried to reach."""
    tried: list[str] = []
    os.environ["FLOWEDIT_REFUSED_LOG"] = str(log)
    try:
        yield tried
    finally:
        del os.environ["FLOWEDIT_REFUSED_LOG"]
        if log.is_file():
            tried += log.read_text(encoding="utf-8").split()


def run_capped(
    command: Sequence[str | Path], limit_megabytes: int, *, cwd: Path, environment: Mapping[str, str]
) -> Capped:
    """Run a program that is ended as soon as it and what it started hold more memory than they may.

    Args:
        command: the program and its arguments.
        limit_megabytes: most memory of the tree, looked at ten times a second.
        cwd: the folder to start in.
        environment: its whole environment.

    Raises:
        OutputError: it passed the limit, or failed.
    """
    name = " ".join(Path(part).name for part in list(map(str, command))[:3])
    peak = 0.0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=out, stderr=out, text=True)
        try:
            while process.poll() is None:
                peak = max(peak, tree_megabytes(process.pid))
                if peak > limit_megabytes:
                    raise OutputError(f"{name} held {peak:.0f} MB, more than {limit_megabytes} MB, and was ended.")
                time.sleep(_LOOK_SECONDS)
        finally:
            for one in reversed(_tree(process.pid)):  # those that moved into a group of their own included
                with suppress(psutil.Error):
                    one.kill()
            process.wait()
        out.seek(0)
        said = out.read()
    if process.returncode:
        last = (said.strip() or f"it ended with {process.returncode}").splitlines()[-1]
        raise OutputError(f"{name} failed within {limit_megabytes} MB: {last}")
    return Capped(said, peak)


def tree_megabytes(pid: int) -> float:
    """Memory of a process and all its descendants; what they share counts once where the system says so."""
    total = 0
    for process in _tree(pid):
        with suppress(psutil.Error):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total / 2**20


def _tree(pid: int) -> list[psutil.Process]:
    """A process and its descendants; nothing once it has ended."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []
