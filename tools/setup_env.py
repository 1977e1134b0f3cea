"""Make the project's own virtual environment and install into it; needs nothing but Python 3.11.

    python3 tools/setup_env.py            what the demo and the lessons need
    python3 tools/setup_env.py --tests    also what the tests need, a browser included

Where there is no GPU and PyTorch's CPU index answers, the CPU build of torch is installed first: it saves gigabytes.
A second call with nothing changed returns at once.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
REACH_SECONDS = 6
OLDEST = (3, 11)
DEBIAN_PACKAGES = {"chromium": "chromium", "ffmpeg": "ffmpeg", "node": "nodejs", "npm": "npm"}
AXE = ENVIRONMENT / "share" / "axe"
"""Where npm puts axe-core, the accessibility checker that the browser tests load."""


def main() -> int:
    """Install, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="also install what the tests need")
    tests = parser.parse_args().tests
    if sys.version_info < OLDEST:
        say(f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old; flowedit needs 3.11 or newer.")
        return 2
    if tests:
        install_programs()
        install_axe()
    if is_current(tests=tests):
        return 0
    if not PYTHON.exists():
        say(f"making {ENVIRONMENT.name}")
        venv.create(ENVIRONMENT, with_pip=True)
        pip("install", "--quiet", "--upgrade", "pip")
    if not has_gpu() and not has_torch() and reaches(TORCH_CPU_INDEX + "/torch/"):
        say("installing the CPU build of torch")
        pip("install", "--quiet", "torch", "torchvision", "--index-url", TORCH_CPU_INDEX)
    say("installing flowedit and what it needs (a few minutes the first time)")
    pip("install", "--quiet", "--editable", str(ROOT) + ("[test]" if tests else ""))
    stamp(tests=tests).write_text(fingerprint(), encoding="utf-8")
    return 0


def install_programs() -> None:
    """Install the browser and the other programs that tests drive, where Debian's packages and the rights are there."""
    missing = [package for program, package in DEBIAN_PACKAGES.items() if shutil.which(program) is None]
    if not missing or shutil.which("apt-get") is None:
        return
    say(f"installing {', '.join(missing)}")
    subprocess.run(["apt-get", "update", "-qq"], check=False)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=False)


def install_axe() -> None:
    """Install axe-core with npm, once; without npm or its registry only the accessibility tests lack something."""
    if (AXE / "node_modules" / "axe-core" / "axe.min.js").is_file() or os.environ.get("FLOWEDIT_AXE"):
        return
    npm = shutil.which("npm")
    if npm is None:
        say("npm is missing, so the accessibility tests will fail; install it, or set FLOWEDIT_AXE to an axe.min.js.")
        return
    say("installing axe-core")
    AXE.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(AXE), "axe-core@^4"]
    if subprocess.run(command).returncode != 0:
        say("npm could not install axe-core; run it again, or set FLOWEDIT_AXE to an axe.min.js.")


def pip(*arguments: str) -> None:
    """Run the environment's pip; a failure ends the script with its message."""
    subprocess.run([PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


def has_gpu() -> bool:
    """Whether an NVIDIA driver answers."""
    return (
        shutil.which("nvidia-smi") is not None
        and subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0
    )


def has_torch() -> bool:
    """Whether the environment already holds torch."""
    return subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode == 0


def reaches(address: str) -> bool:
    """Whether a server answers within a few seconds."""
    try:
        with urllib.request.urlopen(address, timeout=REACH_SECONDS) as answer:
            return answer.status == 200
    except (OSError, ValueError):
        return False


def fingerprint() -> str:
    """What the environment was made from."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()


def stamp(*, tests: bool) -> Path:
    """The file that remembers the fingerprint of a finished installation."""
    return ENVIRONMENT / ("installed-tests" if tests else "installed")


def is_current(*, tests: bool) -> bool:
    """Whether the environment was made from this very pyproject.toml."""
    candidates = [stamp(tests=True)] if tests else [stamp(tests=True), stamp(tests=False)]
    return any(path.exists() and path.read_text(encoding="utf-8") == fingerprint() for path in candidates)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"setup: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
