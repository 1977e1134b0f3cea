"""What a visitor of Binder gets: JupyterLab, which opens lesson 00, and the lesson run from top to bottom beside it.

`python notebooks/publish/visit.py notebooks/00_start_here.ipynb` needs only what `binder/` installs.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from nbclient import NotebookClient

_START_SECONDS = 180
_TOKEN = "visit"


def main(lesson: Path) -> None:
    """Start JupyterLab, see that it opens the lesson, and run the lesson while it is up."""
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        own = {f"JUPYTER_{name}_DIR": f"{home}/{name.lower()}" for name in ("CONFIG", "DATA", "RUNTIME")}
        options = [f"--port={port}", "--ip=127.0.0.1", f"--IdentityProvider.token={_TOKEN}", "--allow-root"]
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", *options]
        server = subprocess.Popen(command, cwd=lesson.parents[1], env={**os.environ, **own})
        try:
            opened = _opened(f"http://127.0.0.1:{port}/?token={_TOKEN}", server)
            if opened != f"/lab/tree/{lesson.parent.name}/{lesson.name}":
                sys.exit(f"JupyterLab opens {opened}, not {lesson.name}; see binder/lab.json.")
            notebook, begun = nbformat.read(lesson, as_version=4), time.monotonic()
            resources = {"metadata": {"path": str(lesson.parent)}}
            NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=resources).execute()
        finally:
            server.terminate()
            server.wait()
    cells = sum(bool(cell.get("execution_count")) for cell in notebook.cells)
    sys.stdout.write(f"{cells} cells in {time.monotonic() - begun:.1f} s\n")


def _opened(address: str, server: subprocess.Popen[bytes]) -> str:
    """The path at which a request ends after redirections, once the server is up."""
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return urlsplit(answer.url).path
        except OSError:
            time.sleep(0.2)
    sys.exit("JupyterLab did not start.")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
