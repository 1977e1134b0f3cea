"""Where the lessons run: one environment in two places, a complete Binder image, a Colab cell that asks little."""

import json
import os
import re
import tomllib

import pytest
import yaml

from flowedit.lessons import binder, build
from flowedit.lessons.catalog import CATALOG
from tests.notebooks.lessons_on_disk import LESSONS, ROOT, source_of

NINE = ("jupyterlab", "ipywidgets", "torch", "diffsynth", "langgraph", "langchain-google-genai", "matplotlib",
        "mediapy", "nbval")  # fmt: skip


def environment(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def pip_lines(path):
    return next(entry["pip"] for entry in environment(path)["dependencies"] if isinstance(entry, dict))


def name_of(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement).group().lower()


def test_binder_reads_the_same_environment():
    """Catches a dependency added to one of the two files: Binder ignores the one at the top."""
    assert (ROOT / "binder/environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()


def test_the_environment_is_what_the_package_asks_for():
    """Catches a dependency that only pip users would get, and a floor that differs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(pip_lines("environment.yml")) == sorted(project["dependencies"])


@pytest.mark.parametrize("name", NINE)
def test_the_environment_names(name):
    assert name in {name_of(line) for line in pip_lines("environment.yml")}


def test_torch_is_the_small_build():
    """Catches an environment that pulls gigabytes of GPU libraries onto Binder."""
    conda = [entry for entry in environment("environment.yml")["dependencies"] if isinstance(entry, str)]
    assert any(name_of(entry) == "pytorch-cpu" for entry in conda)
    assert not any("cuda" in entry or "gpu" in entry for entry in conda)


def test_binder_opens_lesson_00_and_leaves_nothing_to_download():
    script = (ROOT / "binder/postBuild").read_text(encoding="utf-8")
    assert os.access(ROOT / "binder/postBuild", os.X_OK)
    assert "pip install --no-cache-dir --no-deps -e ." in script
    url = json.loads((ROOT / "binder/lab.json").read_text(encoding="utf-8"))["LabApp"]["default_url"]
    assert url == f"/lab/tree/notebooks/{CATALOG[0].stem}.ipynb"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)
def test_the_setup_cell_installs_only_on_colab_and_changes_no_installed_package(lesson):
    """Catches pins and upgrades, which break Colab, and an install that runs anywhere else."""
    notebook = build.student(source_of(lesson), lesson, {})
    setup = notebook.cells[1]
    assert setup.metadata["cellView"] == "form"
    assert setup.metadata["jupyter"] == {"source_hidden": True}
    lines = setup.source.splitlines()
    install = next(i for i, line in enumerate(lines) if "pip install" in line)
    assert '"google.colab" in sys.modules' in lines[install - 1]
    assert 'find_spec("flowedit") is None' in lines[install - 1]
    assert not re.search(r"-U\b|--upgrade|==", lines[install])
    others = [cell.source for cell in notebook.cells if cell is not setup and cell.cell_type == "code"]
    assert not any("pip install" in source for source in others)


def test_the_binder_check_installs_what_binder_installs():
    """Catches a check of other packages than Binder's."""
    assert binder.pip_lines(ROOT) == pip_lines("binder/environment.yml")


@pytest.mark.slow
def test_the_image_builds_and_runs_lesson_00_within_binders_memory(tmp_path):
    """Catches a postBuild that fails, a file that only a checkout has, and a lesson too large for Binder."""
    said = binder.check(ROOT, borrow=True)
    assert "fresh environment, offline" in said
