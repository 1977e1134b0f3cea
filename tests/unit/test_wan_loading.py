"""Each placement of the weights computes what the plain one does, through the vendor's loader and its management."""

import pytest
import torch
from lora_files import bring, placement_on_cpu, small_checkpoint
from small_wan import forward, small_dit

from flowedit.errors import ModelError
from flowedit.wan import loading
from flowedit.wan.checkpoints import CHECKPOINTS, Checkpoint, Part


@pytest.fixture
def name(tmp_path, monkeypatch):
    """A checkpoint of the small transformer alone, in bfloat16, known to the vendor and to us."""
    with small_checkpoint("t2v", tmp_path, monkeypatch, torch.bfloat16) as name:
        yield name


def velocity(pipe):
    return forward(pipe.dit, dtype=torch.bfloat16)


def test_a_plain_load_has_the_files_values(name):
    pipe, checkpoint = loading.load_pipeline(name)
    assert checkpoint.name == name
    assert not pipe.vram_management_enabled
    written = small_dit("t2v").bfloat16()
    assert all(torch.equal(a, b) for a, b in zip(pipe.dit.parameters(), written.parameters(), strict=True))


@pytest.mark.parametrize(("level", "tolerance"), [("offload", 0.0), ("fp8", 0.15), ("disk", 0.15)])
def test_a_managed_load_computes_what_the_plain_one_does(name, level, tolerance):
    plain = velocity(loading.load_pipeline(name).pipe)
    pipe = loading.load_pipeline(name, placement_on_cpu(level, "bfloat16")).pipe
    assert pipe.vram_management_enabled
    held = sum(p.numel() for p in pipe.dit.parameters() if p.device.type != "meta")
    assert (held < 500) == (level == "disk"), "what rests on disk holds no weights"
    bring(pipe)
    error = (velocity(pipe) - plain).float().norm() / plain.float().norm()
    assert error <= tolerance
    assert (error > 0) == (tolerance > 0)


def test_a_folder_and_a_file_load_as_the_name_does(name, tmp_path):
    for path in (tmp_path / "a", *tmp_path.rglob("x.safetensors")):
        assert loading.load_pipeline(path).checkpoint.name == name


def test_text_without_a_tokenizer_is_refused(name, tmp_path, monkeypatch):
    entry = CHECKPOINTS[name]
    stand_in = Part(**{**vars(entry.parts[0]), "role": "text"})
    monkeypatch.setitem(CHECKPOINTS, name, Checkpoint(**{**vars(entry), "parts": (stand_in,)}))
    with pytest.raises(ModelError, match="tokenizer"):
        loading.load_pipeline(name)
