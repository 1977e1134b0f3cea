"""The 1.3B family at full width, random weights, through the public path: slow, three to six GB of memory."""

import shutil

import pytest
import torch.nn.functional as F
from full_size import check_two_steps, lay_out_random
from small_wan import in_float32

from flowedit.wan import files


@pytest.fixture
def models(tmp_path, monkeypatch):
    for name in ("conv2d", "conv3d"):
        monkeypatch.setattr(F, name, in_float32(getattr(F, name)))
    monkeypatch.setenv(files.BASE_PATH_VARIABLE, str(tmp_path))
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("name", ["Wan2.1-T2V-1.3B", "Wan2.1-Fun-1.3B-InP", "Wan2.1-VACE-1.3B"])
def test_two_steps_of_the_official_architecture(name, models, monkeypatch):
    lay_out_random(name, models)
    check_two_steps(name, monkeypatch)
