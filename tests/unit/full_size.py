"""Two steps of a checkpoint at its official size: files of random weights, the public loader, the vendor's pipeline."""

import numpy as np
import torch
from official import official_shapes, write_random
from PIL import Image
from small_wan import record

from flowedit.model import ClipShape
from flowedit.wan import families, loading
from flowedit.wan.checkpoints import resolve

TEXT_DIM = 4096
SHAPE = ClipShape(num_frames=5, height=32, width=32)


def lay_out_random(name, models, device="cpu"):
    """Write every part but the text encoder, which has eleven gigabytes and no part in what is tested."""
    for part in resolve(name).parts:
        repository, pattern = part.modelscope
        if part.role != "text":
            write_random(models / repository / pattern.replace("*", ""), official_shapes(part.hash), device=device)


def check_two_steps(name, monkeypatch, device="cpu"):
    """Run the vendor's pipeline for two steps, and give our image inputs to each of its forwards."""
    entry = resolve(name)
    pipe, checkpoint = loading.load_pipeline(name, device, roles=("dit", "vae", "image"))
    assert checkpoint is entry
    assert sum(value.numel() for value in pipe.dit.parameters()) <= entry.part("dit").weights
    assert {value.dtype for value in pipe.dit.parameters()} == {torch.bfloat16}
    words = torch.randn(1, 16, TEXT_DIM, generator=torch.Generator().manual_seed(0)).to(device, torch.bfloat16)
    unit = next(unit for unit in pipe.units if type(unit).__name__ == "WanVideoUnit_PromptEmbedder")
    monkeypatch.setattr(unit, "process", lambda pipe, prompt, positive: {"context": words})
    shown = {"t2v": 0, "flf2v": 2}.get(entry.family, 1)
    pictures = np.random.default_rng(0).integers(0, 256, (2, SHAPE.height, SHAPE.width, 3), dtype=np.uint8)
    images = dict(zip([0, SHAPE.num_frames - 1][:shown], pictures, strict=False))
    if entry.family == "vace":
        call = dict(zip(["vace_video", "vace_video_mask"], families.vace_clip(images, SHAPE), strict=True))
    else:
        names = ["input_image", "end_image"]
        call = dict(zip(names, [Image.fromarray(image) for image in images.values()], strict=False))
    size = {"num_frames": SHAPE.num_frames, "height": SHAPE.height, "width": SHAPE.width}
    video, calls = record(pipe, prompt="a cat", **call, **size, num_inference_steps=2, cfg_scale=1.0, seed=3)
    assert video.shape == (1, 3, SHAPE.num_frames, SHAPE.height, SHAPE.width)
    assert torch.isfinite(video).all()
    assert video.std() > 0
    inputs = families.image_inputs(pipe, images, SHAPE)
    assert len(calls) == 2
    for theirs, velocity in calls:
        shared = {key: theirs[key] for key in ("dit", "vace", "latents", "timestep", "context")}
        assert torch.equal(pipe.model_fn(**shared, **inputs), velocity)
    return calls
