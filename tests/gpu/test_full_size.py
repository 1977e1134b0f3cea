"""The large families at full width on a GPU, random weights, through the public path.

Each writes up to 57 GB of files: give them a folder in memory, `pytest tests/gpu --basetemp /dev/shm/flowedit`.
"""

import shutil

import pytest
import torch
from full_size import check_two_steps, lay_out_random

from flowedit.wan import files
from flowedit.wan.checkpoints import resolve

NAMES = (
    "Wan2.2-TI2V-5B",
    "Wan2.1-I2V-14B-480P",
    "Wan2.1-FLF2V-14B-720P",
    "Wan2.1-T2V-14B",
    "Wan2.1-VACE-14B",
    "Wan2.2-I2V-A14B",
)
"""The 720P model's files have the very names and shapes of the 480P model's."""


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv(files.BASE_PATH_VARIABLE, str(tmp_path))
    yield tmp_path
    shutil.rmtree(tmp_path)
    torch.cuda.empty_cache()


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_of_the_official_architecture(name, models, monkeypatch):
    lay_out_random(name, models, device="cuda")
    calls = check_two_steps(name, monkeypatch, device="cuda")
    experts = {id(theirs["dit"]) for theirs, _ in calls}
    assert len(experts) == (2 if resolve(name).boundary is not None else 1)
