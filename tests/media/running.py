"""Commands as a user runs them, each in a process of its own that begins with everything imported."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["running", "flowedit.run.classical", "flowedit.agent.run", "flowedit.cli.main"])


@dataclass(frozen=True)
class Done:
    """How a command ended: its status, as a shell says it, and what it wrote; 124 where it did not end."""

    status: int
    out: str
    err: str


def run(
    folder: Path,
    *arguments: object,
    patience: float = 240.0,
    limit: tuple[int, int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run `flowedit` with these arguments in a folder; `limit` is a resource, and what may be taken of it."""
    told = multiprocessing.Pipe(duplex=False), multiprocessing.Pipe(duplex=False)
    here = {**os.environ, **(environment or {})}
    child = folder, [writer for _, writer in told], list(map(str, arguments)), limit, here
    process = _SERVER.Process(target=_child, args=child)
    process.start()
    for _, writer in told:
        writer.close()
    with ThreadPoolExecutor() as threads:
        out, err = (threads.submit(_read, reader) for reader, _ in told)
        process.join(patience)
        if hung := process.is_alive():
            process.kill()
            process.join()
        code = process.exitcode or 0
        return Done(124 if hung else code if code >= 0 else 128 - code, out.result(), err.result())


def _read(reader: Connection) -> str:
    with open(reader.fileno(), "rb", closefd=False) as file:
        return file.read().decode("utf-8", "backslashreplace")


def _child(
    folder: Path, told: list[Connection], arguments: list[str], limit: tuple[int, int] | None, here: dict[str, str]
) -> None:
    from flowedit.cli.main import main

    os.chdir(folder)
    os.environ.clear()  # the server's are those of the test that began it, a key for Gemini among them
    os.environ.update(here)
    for place, writer in enumerate(told, 1):
        os.dup2(writer.fileno(), place)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if limit is not None:
        kind, most = limit
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if kind == resource.RLIMIT_AS:  # beyond what is there already
            most += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(kind, (most, most))
    main(arguments)
