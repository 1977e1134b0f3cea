"""Lessons behind a guard: no key and no network in their environment, and a cap on the memory of all they start."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from flowedit.errors import OutputError

_SECRET = re.compile(r"(KEY|TOKEN|SECRET)$")
_GUARD = Path(__file__).parent / "offline"
_LOOK_SECONDS = 0.1
_KILOBYTES = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Capped:
    """What a program under a cap said and took.

    Attributes:
        said: what it printed, errors included.
        seconds: wall-clock time.
        peak_megabytes: largest memory of the program and all it started, shared memory counted once.
    """

    said: str
    seconds: float
    peak_megabytes: float


def offline_environment(*, package: bool = True) -> dict[str, str]:
    """The caller's environment without keys, with connections refused.

    Args:
        package: put the folder that holds this package first on the path, whatever is installed.
    """
    environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name.upper())}
    root = str(Path(__file__).parents[2]) if package else ""
    paths = [str(_GUARD), root, environment.get("PYTHONPATH", "") if package else ""]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment.setdefault("OMP_NUM_THREADS", "2")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait shall sleep, not count as processor time
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

    The memory of the whole tree is looked at ten times a second. Between two looks the system itself holds each single
    process: a request for more data than the limit is refused.

    Args:
        command: the program and its arguments.
        limit_megabytes: most memory of the tree.
        cwd: the folder to start in.
        environment: its whole environment.

    Returns:
        What it said and took.

    Raises:
        OutputError: it passed the limit, or failed.
    """
    name = " ".join(Path(part).name for part in list(map(str, command))[:3])
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        begun = time.monotonic()
        process = subprocess.Popen(
            _with_data_limit(command, limit_megabytes), cwd=cwd, env=environment, stdout=out, stderr=out, text=True
        )
        peak = 0.0
        try:
            while process.poll() is None:
                peak = max(peak, tree_megabytes(process.pid))
                if peak > limit_megabytes:
                    raise OutputError(f"{name} held {peak:.0f} MB, more than {limit_megabytes} MB, and was ended.")
                time.sleep(_LOOK_SECONDS)
        finally:
            _end_tree(process)
        out.seek(0)
        said = out.read()
    if process.returncode:
        last = (said.strip() or f"it ended with {process.returncode}").splitlines()[-1]
        raise OutputError(f"{name} failed within {limit_megabytes} MB: {last}")
    return Capped(said=said, seconds=time.monotonic() - begun, peak_megabytes=peak)


class Watch:
    """Looks at a process and its descendants while a block runs, and once more at its end.

    Attributes:
        peak_megabytes: the most memory of their own that they held at once; see `own_megabytes`.
        resident_megabytes: the most memory of the process itself, mapped files included.
        processor_seconds: processor time that they had taken when they were last seen.
    """

    def __init__(self, find: Callable[[], int | None]) -> None:
        """Watch the process whose id `find` gives, from when it gives one."""
        self.peak_megabytes = 0.0
        self.resident_megabytes = 0.0
        self.processor_seconds = 0.0
        self._find = find
        self._pid: int | None = None
        self._files = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        self._pid = self._pid or self._find()
        if self._pid:
            status = _numbers(Path(f"/proc/{self._pid}/status"))
            self._files = max(self._files, status.get("RssFile", 0.0))
            # Between two looks the system itself keeps the peak, files included.
            self.resident_megabytes = max(self.resident_megabytes, status.get("VmHWM", 0.0))
            between = self.resident_megabytes - self._files
            self.peak_megabytes = max(self.peak_megabytes, own_megabytes(self._pid), between)
            self.processor_seconds = max(self.processor_seconds, tree_seconds(self._pid))


def tree_seconds(pid: int) -> float:
    """Processor time of a process, of those that it started and saw end, and of those still at work."""
    total = 0.0
    for process in _tree(pid):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def own_megabytes(pid: int) -> float:
    """Memory of a process and all its descendants without the pages of files that they map, programs above all.

    How many of those are held depends on what the system happens to keep of the files, and it can drop them at any
    time: they swing by hundreds of megabytes from one machine to the next. Where the system does not tell them apart,
    they are in.
    """
    pids = [process.pid for process in _tree(pid)]
    if len(pids) == 1:
        # Counted by the system as it goes. The sums below walk all pages: 60 ms for a gigabyte, which a lesson looked
        # at ten times a second would wait for. Only several processes can share pages.
        status = _numbers(Path(f"/proc/{pid}/status"))
        if "RssAnon" in status:
            return status["RssAnon"] + status.get("RssShmem", 0.0)
    parts = [_numbers(Path(f"/proc/{each}/smaps_rollup")) for each in pids]
    if any("Pss_Anon" in part for part in parts):
        return sum(part.get("Pss_Anon", 0.0) + part.get("Pss_Shmem", 0.0) for part in parts)
    return tree_megabytes(pid)


def _numbers(path: Path) -> dict[str, float]:
    """What a file of the system's says in kilobytes, in megabytes; nothing once the process has ended."""
    with suppress(OSError):
        return {name: int(kb) / 1024 for name, kb in _KILOBYTES.findall(path.read_text(encoding="utf-8"))}
    return {}


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


def _with_data_limit(command: Sequence[str | Path], megabytes: int) -> list[str]:
    """A command that first lowers its own limit of private writable memory, which its children inherit."""
    if sys.platform != "linux":
        return [str(part) for part in command]
    code = (
        "import os, resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_DATA, ({megabytes} << 20,) * 2); os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-I", "-S", "-c", code, *(str(part) for part in command)]


def _end_tree(process: subprocess.Popen) -> None:
    """End a process and its descendants, those that moved into a group of their own included."""
    for one in reversed(_tree(process.pid)):
        with suppress(psutil.Error):
            one.kill()
    process.wait()
