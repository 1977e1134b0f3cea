"""The Binder image, tried on this computer: its packages, its `postBuild`, lesson 00 in JupyterLab offline within 2 GB.

Binder installs torch from conda as a build for CPUs. Here pip takes PyTorch's own build for CPUs where that can be
reached, and otherwise the build that pip finds, which may be the larger one for GPUs; the result says which it was. A
lesson that keeps within 2 GB with the larger one does so with the smaller.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from flowedit.errors import OutputError
from notebooks.publish.catalog import CATALOG, FOLDER
from notebooks.publish.guard import offline_environment, refused_connections, run_capped

ROOT = FOLDER.parent
LIMIT_MEGABYTES = 2048
"""What Binder gives at most; it ends what takes more."""
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CONDA_NAMES = {"pytorch-cpu": "torch"}
"""Packages that conda and pip call by different names."""
_TORCH = "import torch; print(torch.__version__, torch.version.cuda or 'none')"


def check(*, borrow: bool) -> str:
    """Build the environment anew and run lesson 00 in it, in a JupyterLab that opens it.

    Args:
        borrow: take installed packages from this interpreter instead of fetching them; only `postBuild` is then tried.

    Returns:
        What was built, and the lesson's time and peak memory.

    Raises:
        OutputError: a step failed, the lesson took more memory than it may, or reached for the network.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "env"
        venv.create(place, with_pip=True)
        python = place / "bin" / "python"
        if borrow:
            _lend(place)
        else:
            install = [python, "-m", "pip", "install", "--quiet"]
            _run([*install, *conda_lines(), "--extra-index-url", TORCH_CPU_INDEX], place)
            _run([*install, *pip_lines()], place)
        _run(["bash", "binder/postBuild"], place)
        version, cuda = _run([python, "-c", _TORCH], place).split()[-2:]
        said, peak = _visit(python, place)
    build = "for CPUs, as on Binder" if cuda == "none" else f"for CUDA {cuda}, larger than Binder's, on the CPU"
    packages = "packages of this environment" if borrow else "packages fetched anew"
    return (
        f"Lesson 00 ran in a fresh environment ({packages}; Python {platform.python_version()}; torch {version}, the "
        f"build {build}), in JupyterLab and offline: {said}, JupyterLab and lesson together at most {peak:.0f} MB; "
        f"more than {LIMIT_MEGABYTES} MB would have ended them."
    )


def pip_lines() -> list[str]:
    """The packages that `binder/environment.yml` asks pip for."""
    return re.findall(r"^ {6}- (\S+)$", _environment(), flags=re.MULTILINE)


def conda_lines() -> list[str]:
    """The packages that it asks conda for, as pip calls them; Python and pip themselves left out."""
    found = re.findall(r"^ {2}- ([\w.-]+)([<>=,.\d]+)$", _environment(), flags=re.MULTILINE)
    return [CONDA_NAMES.get(name, name) + bound for name, bound in found if name != "python"]


def _environment() -> str:
    return (ROOT / "binder" / "environment.yml").read_text(encoding="utf-8")


def _lend(place: Path) -> None:
    """Let the new environment see the packages of this interpreter, JupyterLab's pages included."""
    here = next(path for path in sys.path if path.endswith("site-packages"))
    there = next(place.glob("lib/python*/site-packages"))
    (there / "borrowed.pth").write_text(f"{here}\n", encoding="utf-8")
    (place / "share" / "jupyter").mkdir(parents=True, exist_ok=True)
    (place / "share" / "jupyter" / "lab").symlink_to(Path(sys.prefix) / "share" / "jupyter" / "lab")


def _visit(python: Path, place: Path) -> tuple[str, float]:
    """Run lesson 00 as a visitor does, with no network, no GPU and no more memory than there is on Binder."""
    command = [python, "-P", FOLDER / "publish" / "visit.py", CATALOG[0].student]
    with refused_connections(place / "refused") as refused:
        environment = {**_inside(place, offline_environment(package=False)), "CUDA_VISIBLE_DEVICES": ""}
        ran = run_capped(command, LIMIT_MEGABYTES, cwd=ROOT, environment=environment)
    if refused:
        raise OutputError(f"Lesson 00 or JupyterLab tried to reach {', '.join(refused)}; Binder must need no network.")
    return ran.said.strip().splitlines()[-1], ran.peak_megabytes


def _inside(place: Path, environment: dict[str, str]) -> dict[str, str]:
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**environment, "PATH": path, "VIRTUAL_ENV": str(place)}


def _run(command: Sequence[str | Path], place: Path) -> str:
    environment = {name: value for name, value in _inside(place, dict(os.environ)).items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise OutputError(f"{Path(command[0]).name} {command[1]} failed: {last}")
    return done.stdout
