"""One name loads one model; what cannot be loaded says so before anything heavy happens."""

from types import SimpleNamespace

import pytest
import torch
from small_tiny import random_pipeline

from flowedit import models
from flowedit.errors import ModelError, SettingError
from flowedit.tiny import load as tiny
from flowedit.wan import loading, placement
from flowedit.wan.placement import Needs, Placement


def test_tiny_is_the_shipped_model(monkeypatch):  # catches: a device or dtype that is thrown away
    asked = []
    monkeypatch.setattr(
        tiny, "build_pipeline", lambda device, dtype: asked.append((device, dtype)) or random_pipeline()
    )
    model = models.load_model("tiny", device="cpu")
    assert (model.name, model.size_multiple) == ("tiny", 16)
    models.load_model(device="cpu", dtype="bfloat16")
    assert asked == [("cpu", torch.float32), ("cpu", torch.bfloat16)]
    assert [path.name for path in models.checkpoint_files()] == ["tiny_vae.safetensors", "tiny_dit.safetensors"]


@pytest.fixture
def checkpoint(monkeypatch):
    """The A14B's registry entry, with a random pipeline in place of its files."""
    entry = loading.resolve("Wan2.2-I2V-A14B")
    asked = {}

    def load(name, place, **options):
        asked.update(options, name=name, place=place)
        return loading.Loaded(random_pipeline(), entry)

    monkeypatch.setattr(loading, "locate", lambda name: SimpleNamespace(checkpoint=entry, files={}))
    monkeypatch.setattr(loading, "load_pipeline", load)
    return entry, asked


def test_a_checkpoint_comes_with_its_name_its_boundary_and_the_dtype_asked_for(checkpoint):
    entry, asked = checkpoint
    model = models.load_model("Wan2.2-I2V-A14B", device="cpu", dtype="float32")
    assert model.name == entry.name
    assert model.trained.boundary == entry.boundary != 0.875  # catches: the text-to-video boundary for every model
    assert (asked["place"], asked["dtype"]) == ("cpu", torch.float32)


def test_without_a_device_the_machine_decides(monkeypatch, checkpoint):  # catches: a fit chosen, then ignored
    chosen = Placement(level="offload", device="cuda", dtype_name="float16", tiled=True, needs=Needs(gpu=0, host=0))
    seen = {}

    def choose(entry, shape, resources, *, keyframes, level):
        seen.update(entry=entry, shape=shape, level=level)
        return [chosen]

    monkeypatch.setattr(placement, "placements", choose)
    model = models.load_model("Wan2.2-I2V-A14B", level="offload")
    _, asked = checkpoint
    assert (asked["place"], asked["dtype"]) == (chosen, torch.float16)
    assert seen["level"] == "offload"
    assert seen["shape"].num_frames == seen["entry"].num_frames
    assert model._tiles == {"tiled": True}


def test_an_unknown_checkpoint_lists_those_there_are():
    with pytest.raises(ModelError, match=r"no checkpoint '2B'. Use .*tiny, 1.3B, 14B"):
        models.load_model("2B")
    with pytest.raises(ModelError, match="no checkpoint '2B'"):
        models.checkpoint_files("2B")


def test_a_dtype_that_does_not_exist_is_refused():
    with pytest.raises(SettingError, match="dtype is 'half'; use one of float32, bfloat16, float16"):
        models.load_model("tiny", dtype="half")
