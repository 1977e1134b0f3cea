"""What a visitor of Binder gets: JupyterLab, which opens lesson 00, and the lesson run from top to bottom beside it.

`python -m notebooks.publish.visit notebooks/00_start_here.ipynb` needs only what `binder/` installs.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from nbclient import NotebookClient

_START_SECONDS = 180
_TOKEN = "visit"


def main(lesson: Path) -> None:
    """Start JupyterLab, see that it opens the lesson, and run the lesson while it is up."""
    with lab(lesson.parents[1]) as address:
        opened = urlsplit(_fetch(f"{address}/?token={_TOKEN}")).path
        wanted = f"/lab/tree/{lesson.parent.name}/{lesson.name}"
        if opened != wanted:
            sys.exit(f"JupyterLab opens {opened}, not {wanted}; see binder/lab.json.")
        notebook = nbformat.read(lesson, as_version=4)
        begun = time.monotonic()
        NotebookClient(
            notebook,
            timeout=3600,
            kernel_name="python3",
            resources={"metadata": {"path": str(lesson.parent)}},
            skip_cells_with_tag="skip-execution",
        ).execute()
        seconds = time.monotonic() - begun
    cells = sum(bool(cell.get("execution_count")) for cell in notebook.cells)
    sys.stdout.write(f"{cells} cells in {seconds:.1f} s\n")


@contextmanager
def lab(root: Path) -> Iterator[str]:
    """JupyterLab on a folder, without a browser and apart from the user's own settings.

    Yields:
        Its address.

    Raises:
        RuntimeError: it did not start; the last lines that it printed.
    """
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        own = {f"JUPYTER_{name}_DIR": f"{home}/{name.lower()}" for name in ("CONFIG", "DATA", "RUNTIME")}
        options = [f"--port={port}", "--ip=127.0.0.1", f"--IdentityProvider.token={_TOKEN}", "--allow-root"]
        log = Path(home) / "log"
        with log.open("w", encoding="utf-8") as out:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", "--no-browser", *options],
                cwd=root,
                env={**os.environ, **own},
                stdout=out,
                stderr=out,
            )
        try:
            _wait(f"http://127.0.0.1:{port}/api", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            _fetch(address)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("JupyterLab did not start: " + " ".join(log.read_text(encoding="utf-8").splitlines()[-3:]))


def _fetch(address: str) -> str:
    """Where a request ends after redirections."""
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.url


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
