"""The Binder image, tried on this computer: its packages, its `postBuild`, lesson 00 in JupyterLab offline within 2 GB.

Binder installs torch from conda as a build for CPUs. Here pip takes PyTorch's own build for CPUs where that can be
reached, and otherwise the build that pip finds, which may be the larger one for GPUs; the result says which it was. A
lesson that keeps within 2 GB with the larger one does so with the smaller.
"""

import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from types import ModuleType

from flowedit.errors import OutputError
from flowedit.lessons.catalog import CATALOG
from notebooks.publish.guard import Capped, offline_environment, refused_connections, run_capped

LIMIT_MEGABYTES = 2048
"""What Binder gives at most; it ends what takes more."""
CONDA_NAMES = {"pytorch-cpu": "torch"}
"""Packages that conda and pip call by different names."""
_TORCH = "import torch; print(torch.__version__, torch.version.cuda or 'none')"


def check(root: Path, *, borrow: bool, limit_megabytes: int = LIMIT_MEGABYTES) -> str:
    """Build the environment anew and run lesson 00 in it, in a JupyterLab that opens it.

    Args:
        root: the repository.
        borrow: take installed packages from this interpreter instead of fetching them; only `postBuild` is then tried.
        limit_megabytes: JupyterLab and the lesson are ended when together they hold more.

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
            _install(python, root, place)
        _run(["bash", "binder/postBuild"], root, place)
        version, cuda = _run([python, "-c", _TORCH], root, place).split()[-2:]
        ran = _visit(python, root, place, limit_megabytes)
    build = "for CPUs, as on Binder" if cuda == "none" else f"for CUDA {cuda}, larger than Binder's, on the CPU"
    packages = "packages of this environment" if borrow else "packages fetched anew"
    built = f"{packages}; Python {platform.python_version()}; torch {version}, the build {build}"
    return (
        f"Lesson 00 ran in a fresh environment ({built}), in JupyterLab and offline: "
        f"{ran.said.strip().splitlines()[-1]}, JupyterLab and lesson together at most {ran.peak_megabytes:.0f} MB; "
        f"more than {limit_megabytes} MB would have ended them."
    )


def pip_lines(root: Path) -> list[str]:
    """The packages that `binder/environment.yml` asks pip for."""
    return re.findall(r"^ {6}- (\S+)$", _environment(root), flags=re.MULTILINE)


def conda_lines(root: Path) -> list[str]:
    """The packages that it asks conda for, as pip calls them; Python and pip themselves left out."""
    found = re.findall(r"^ {2}- ([\w.-]+)([<>=,.\d]+)$", _environment(root), flags=re.MULTILINE)
    return [CONDA_NAMES.get(name, name) + bound for name, bound in found if name != "python"]


def _environment(root: Path) -> str:
    return (root / "binder" / "environment.yml").read_text(encoding="utf-8")


def _install(python: Path, root: Path, place: Path) -> None:
    """Install what conda and pip would, torch first, so that pip's list finds it there."""
    setup = _setup_script(root)
    index = ["--index-url", setup.TORCH_CPU_INDEX] if setup.reaches(setup.TORCH_CPU_INDEX + "/torch/") else []
    install = [python, "-m", "pip", "install", "--quiet"]
    _run([*install, *conda_lines(root), *index], root, place)
    _run([*install, *pip_lines(root)], root, place)


def _setup_script(root: Path) -> ModuleType:
    """`tools/setup_env.py`, which knows where PyTorch's builds for CPUs lie."""
    spec = importlib.util.spec_from_file_location("setup_env", root / "tools" / "setup_env.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lend(place: Path) -> None:
    """Let the new environment see the packages of this interpreter, JupyterLab's pages included."""
    here = next(path for path in sys.path if path.endswith("site-packages"))
    there = next(place.glob("lib/python*/site-packages"))
    (there / "borrowed.pth").write_text(f"{here}\n", encoding="utf-8")
    (place / "share" / "jupyter").mkdir(parents=True, exist_ok=True)
    (place / "share" / "jupyter" / "lab").symlink_to(Path(sys.prefix) / "share" / "jupyter" / "lab")


def _visit(python: Path, root: Path, place: Path, limit_megabytes: int) -> Capped:
    """Run lesson 00 as a visitor does, with no network, no GPU and no more memory than there is on Binder."""
    lesson = root / "notebooks" / f"{CATALOG[0].stem}.ipynb"
    command = [python, "-P", Path(__file__).with_name("visit.py"), lesson]
    with refused_connections(place / "refused") as refused:
        environment = {**_inside(place, offline_environment(package=False)), "CUDA_VISIBLE_DEVICES": ""}
        ran = run_capped(command, limit_megabytes, cwd=root, environment=environment)
    if refused:
        raise OutputError(f"Lesson 00 or JupyterLab tried to reach {', '.join(refused)}; Binder must need no network.")
    return ran


def _inside(place: Path, environment: dict[str, str]) -> dict[str, str]:
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**environment, "PATH": path, "VIRTUAL_ENV": str(place)}


def _run(command: list[str | Path], root: Path, place: Path) -> str:
    environment = _inside(place, dict(os.environ))
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(part) for part in command], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise OutputError(f"{Path(command[0]).name} {command[1]} failed: {last}")
    return done.stdout
