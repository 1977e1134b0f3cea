"""The Binder image, tried on this computer: the same packages, the same `postBuild`, lesson 00 offline within 2 GB."""

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from flowedit.errors import OutputError
from flowedit.lessons.catalog import CATALOG

LIMIT_MEGABYTES = 2048
_RUN = """
import sys
from pathlib import Path
import nbformat
from flowedit.lessons.run import execute
path = Path(sys.argv[1])
taken = execute(nbformat.read(path, as_version=4), path.parent)
sys.stdout.write(f"{taken.seconds:.1f} {taken.peak_megabytes:.0f}")
"""


def check(root: Path, *, borrow: bool) -> str:
    """Build the environment anew and run lesson 00 in it.

    Args:
        root: the repository.
        borrow: take installed packages from this interpreter instead of fetching them; only `postBuild` is then tried.

    Returns:
        One sentence with seconds and peak memory.

    Raises:
        OutputError: a step failed, or the lesson took more memory than Binder gives.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "env"
        venv.create(place, with_pip=True, system_site_packages=borrow)
        python = place / "bin" / "python"
        if borrow:
            _lend(place)
        else:
            _run([python, "-m", "pip", "install", "--quiet", *pip_lines(root), "nbclient"], root, place)
        _run(["bash", "binder/postBuild"], root, place)
        lesson = root / "notebooks" / f"{CATALOG[0].stem}.ipynb"
        seconds, peak = _run([python, "-c", _RUN, lesson], root, place).split()[-2:]
    if float(peak) > LIMIT_MEGABYTES:
        raise OutputError(f"Lesson 00 took {peak} MB; Binder gives {LIMIT_MEGABYTES}. Make it smaller.")
    return f"Lesson 00 ran in a fresh environment, offline, in {seconds} s, at most {peak} MB of {LIMIT_MEGABYTES}."


def pip_lines(root: Path) -> list[str]:
    """The packages that `environment.yml` asks pip for."""
    text = (root / "binder" / "environment.yml").read_text(encoding="utf-8")
    return re.findall(r"^ {6}- (\S+)$", text, flags=re.MULTILINE)


def _lend(place: Path) -> None:
    """Let the new environment see the packages of this interpreter."""
    here = next(path for path in sys.path if path.endswith("site-packages"))
    there = next(place.glob("lib/python*/site-packages"))
    (there / "borrowed.pth").write_text(f"{here}\n", encoding="utf-8")


def _run(command: list[str | Path], root: Path, place: Path) -> str:
    environment = {**os.environ, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(place)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(part) for part in command], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise OutputError(f"{Path(command[0]).name} {command[1]} failed: {last}")
    return done.stdout
