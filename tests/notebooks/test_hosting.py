"""Where the lessons run: one environment in two places, a complete Binder image, a Colab cell that asks little."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import tomllib
import urllib.error
import urllib.request

import pytest
import yaml

from notebooks.publish import build
from notebooks.publish.catalog import CATALOG
from tests.notebooks.lessons_on_disk import ROOT, code_of, every_lesson

NINE = ("jupyterlab", "ipywidgets", "torch", "diffsynth", "langgraph", "langchain-google-genai", "matplotlib",
        "mediapy", "nbval")  # fmt: skip

PACKAGE = "-e ."
LAB_SECONDS = 120
"""Patience with a server on a busy machine; it is up within 20 s on a free one."""


def environment(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def pip_lines(path):
    return next(entry["pip"] for entry in environment(path)["dependencies"] if isinstance(entry, dict))


def name_of(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement).group().lower()


def conda_lines(path):
    return [entry for entry in environment(path)["dependencies"] if isinstance(entry, str)]


def asked_for(path):
    """All that an environment brings, as pip calls it; Python and pip themselves left out."""
    as_pip = [re.sub(r"^pytorch-cpu\b", "torch", entry) for entry in conda_lines(path)]
    return [entry for entry in as_pip if name_of(entry) not in ("python", "pip")] + pip_lines(path)


def test_binder_reads_the_same_environment():
    """Catches a dependency added to one of the two files: Binder ignores the one at the top."""
    top, binders = environment("environment.yml"), environment("binder/environment.yml")
    lines = next(entry["pip"] for entry in top["dependencies"] if isinstance(entry, dict))
    lines.remove(PACKAGE)
    assert top == binders


def test_each_place_installs_the_package_itself_once():
    """Catches a clone whose environment lacks the package; conda starts pip in the folder of the file."""
    assert pip_lines("environment.yml").count(PACKAGE) == 1
    assert (ROOT / "environment.yml").with_name("pyproject.toml").is_file()
    assert not any(line.startswith("-") for line in pip_lines("binder/environment.yml"))
    assert f"pip install --no-cache-dir --no-deps {PACKAGE}\n" in (ROOT / "binder/postBuild").read_text(
        encoding="utf-8"
    )


def test_the_environment_is_what_the_package_asks_for():
    """Catches a dependency that only pip users would get, and a floor that differs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(asked_for("binder/environment.yml")) == sorted(project["dependencies"])


@pytest.mark.parametrize("name", NINE)
def test_the_environment_names(name):
    assert name in {name_of(line) for line in asked_for("environment.yml") if line != PACKAGE}


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_torch_is_the_small_build(path):
    """Catches gigabytes of GPU libraries: also those that pip, which conda runs with --upgrade, would replace it by."""
    assert any(name_of(entry) == "pytorch-cpu" for entry in conda_lines(path))
    assert not any("cuda" in entry or "gpu" in entry for entry in conda_lines(path))
    assert not {"torch", "torchvision"} & {name_of(line) for line in pip_lines(path) if line != PACKAGE}


def test_binder_opens_lesson_00_and_leaves_nothing_to_download():
    assert os.access(ROOT / "binder/postBuild", os.X_OK)
    url = json.loads((ROOT / "binder/lab.json").read_text(encoding="utf-8"))["LabApp"]["default_url"]
    assert url == f"/lab/tree/notebooks/{CATALOG[0].stem}.ipynb"
    steps = (ROOT / "binder/postBuild").read_text(encoding="utf-8")
    loaded = re.search(r'python -c "import ([^"]+)"', steps)[1].split(", ")
    assert all(importlib.util.find_spec(name) for name in loaded), "the image would not build"
    assert "cp binder/lab.json" in steps


@every_lesson
def test_the_setup_cell_installs_only_on_colab_and_changes_no_installed_package(lesson):
    """Catches pins and upgrades, which break Colab, and an install that runs anywhere else."""
    notebook = build.student(lesson)
    setup = notebook.cells[1]
    assert setup.metadata["cellView"] == "form"
    assert setup.metadata["jupyter"] == {"source_hidden": True}
    lines = setup.source.splitlines()
    install = next(i for i, line in enumerate(lines) if "pip install" in line)
    assert '"google.colab" in sys.modules' in lines[install - 1]
    assert 'find_spec("flowedit") is None' in lines[install - 1]
    assert not re.search(r"-U\b|--upgrade|==", lines[install])
    assert [cell for cell in code_of(notebook) if "pip install" in cell.source] == [setup]


@pytest.fixture
def made_lab(tmp_path):
    """What `make lab` starts, with a browser that keeps the page it is to open: (the server's address, that page)."""
    opened, browser = tmp_path / "opened.html", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\ncp "${{1#file://}}" "{opened}.part" && mv "{opened}.part" "{opened}"\n')
    browser.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"--allow-root --ip=127.0.0.1 --port={port} --IdentityProvider.token=lab"
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHONPATH")
    own = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    own["BROWSER"] = f"{browser} %s"
    environment = {name: value for name, value in os.environ.items() if name not in outer} | own
    begun = time.monotonic()
    with (tmp_path / "said").open("w") as out:
        command = ["make", "lab", f"LAB_OPTIONS={options}"]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        while not opened.exists():
            assert server.poll() is None, (tmp_path / "said").read_text()[-2000:]
            assert time.monotonic() - begun < LAB_SECONDS, (tmp_path / "said").read_text()[-2000:]
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", opened.read_text()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_make_lab_serves_lesson_00_and_opens_it(made_lab):
    """Catches a recipe that starts nothing, serves another folder, or opens another page than the first lesson."""
    address, page = made_lab
    lesson = CATALOG[0].student  # JupyterLab serves the folder of the notebook that it opens
    assert f"{address}/lab/tree/{lesson.name}?token=lab" in page
    with urllib.request.urlopen(f"{address}/lab/tree/{lesson.name}?token=lab", timeout=30) as answer:
        assert b"JupyterLab" in answer.read()
    with urllib.request.urlopen(f"{address}/api/contents/{lesson.name}?token=lab", timeout=30) as answer:
        cells = [cell["source"] for cell in json.load(answer)["content"]["cells"]]
    assert cells == [cell.source for cell in build.student(CATALOG[0]).cells]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{address}/api/contents/{lesson.name}", timeout=30)
