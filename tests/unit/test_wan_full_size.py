"""The 1.3B family at full width, random weights, through the public path: slow, three to six GB of memory."""

import shutil

import numpy as np
import pytest
import torch
from official import official_shapes, write_random
from PIL import Image
from small_wan import record

from flowedit.model import ClipShape
from flowedit.wan import families, loading
from flowedit.wan.checkpoints import resolve

SHAPE = ClipShape(num_frames=5, height=32, width=32)
TEXT_DIM = 4096


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv(loading.BASE_PATH_VARIABLE, str(tmp_path))
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Wan2.1-T2V-1.3B", "Wan2.1-Fun-1.3B-InP", "Wan2.1-VACE-1.3B"])
def test_two_steps_of_the_official_architecture(name, models, monkeypatch):
    entry = resolve(name)
    for part in entry.parts:
        repository, pattern = part.modelscope
        if part.role != "text":  # eleven gigabytes, and no part of what is tested here
            write_random(models / repository / pattern.replace("*", ""), official_shapes(part.hash))
    pipe, checkpoint = loading.load_pipeline(name, roles=("dit", "vae", "image"))
    assert checkpoint is entry
    assert sum(value.numel() for value in pipe.dit.parameters()) >= 1.4e9
    assert {value.dtype for value in pipe.dit.parameters()} == {torch.bfloat16}
    words = torch.randn(1, 16, TEXT_DIM, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    unit = next(unit for unit in pipe.units if type(unit).__name__ == "WanVideoUnit_PromptEmbedder")
    monkeypatch.setattr(unit, "process", lambda pipe, prompt, positive: {"context": words})
    image = np.random.default_rng(0).integers(0, 256, (SHAPE.height, SHAPE.width, 3), dtype=np.uint8)
    images = {} if entry.image_route is None else {0: image}
    call = {"input_image": Image.fromarray(image)} if entry.image_route == "i2v" else {}
    if entry.image_route == "vace":
        call["vace_video"], call["vace_video_mask"] = families.vace_clip(images, SHAPE)
    size = {"num_frames": SHAPE.num_frames, "height": SHAPE.height, "width": SHAPE.width}
    video, calls = record(pipe, prompt="a cat", **call, **size, num_inference_steps=2, cfg_scale=1.0, seed=3)
    assert video.shape == (1, 3, 5, 32, 32)
    assert torch.isfinite(video).all()
    assert video.std() > 0
    inputs = families.image_inputs(pipe, images, SHAPE)
    assert len(calls) == 2
    for theirs, velocity in calls:
        shared = {key: theirs[key] for key in ("dit", "vace", "latents", "timestep", "context")}
        assert torch.equal(pipe.model_fn(**shared, **inputs), velocity)
