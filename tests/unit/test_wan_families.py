"""Each family's conditioning gives the velocity that the vendor's own pipeline computes, and refuses the rest."""

import numpy as np
import pytest
import torch
from diffsynth.pipelines import wan_video
from PIL import Image
from small_wan import record, small_pipeline

from flowedit.errors import ModelError
from flowedit.model import ClipShape
from flowedit.wan import families

SHAPE = ClipShape(num_frames=9, height=32, width=64)
LAST = SHAPE.num_frames - 1


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (SHAPE.height, SHAPE.width, 3), dtype=np.uint8)


def vendor_vace_call(images):
    """Build the vendor's arguments by hand: what its examples paint for known frames."""
    clip = np.full((SHAPE.num_frames, SHAPE.height, SHAPE.width, 3), 127, np.uint8)
    mask = np.full_like(clip, 255)
    for index, image in images.items():
        clip[index], mask[index] = image, 0
    return {"vace_video": [Image.fromarray(f) for f in clip], "vace_video_mask": [Image.fromarray(m) for m in mask]}


def ends_call(images):
    names = {0: "input_image", LAST: "end_image"}
    return {names[index]: Image.fromarray(image) for index, image in images.items()}


CASES = {
    "t2v": ("t2v", [], ends_call),
    "i2v first": ("i2v", [0], ends_call),
    "i2v first and last": ("i2v", [0, LAST], ends_call),
    "flf2v": ("flf2v", [0, LAST], ends_call),
    "a14b": ("i2v-a14b", [0], ends_call),
    "vace": ("vace", [0, 3, LAST], vendor_vace_call),
    "ti2v": ("ti2v", [0], ends_call),
    "ti2v without image": ("ti2v", [], ends_call),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("family", "indices", "call"), CASES.values(), ids=CASES.keys())
def test_velocity_is_the_vendors_to_the_last_bit(family, indices, call, dtype):
    pipe = small_pipeline(family, dtype)
    images = {index: picture(index) for index in indices}
    size = {"num_frames": SHAPE.num_frames, "height": SHAPE.height, "width": SHAPE.width}
    _, calls = record(pipe, prompt="a cat", **call(images), **size, num_inference_steps=2, cfg_scale=1.0, seed=3)
    inputs = families.image_inputs(pipe, images, SHAPE)
    assert len(calls) == 2
    for theirs, velocity in calls:
        shared = {name: theirs[name] for name in ("dit", "vace", "timestep", "context")}
        latents = theirs["latents"]
        assert torch.equal(families.hold_first(latents, inputs), latents)
        ours = pipe.model_fn(**shared, latents=latents, **families.joint_inputs(inputs, []))
        assert torch.equal(ours, velocity)


def test_the_first_latent_is_held_and_nothing_else():
    held = families.hold_first(torch.zeros(1, 2, 3, 1, 1), {"first_frame_latents": torch.ones(1, 2, 1, 1, 1)})
    assert held[0, :, :, 0, 0].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert families.hold_first(held, {}) is held


def test_a_keyframe_token_sees_what_its_slot_sees():
    y = torch.arange(3.0).view(1, 1, 3, 1, 1)
    longer = families.joint_inputs({"y": y, "clip_feature": y}, [2, 0])
    assert longer["y"].flatten().tolist() == [0, 1, 2, 2, 0]
    assert longer["clip_feature"] is y


def test_a_model_that_reads_clip_features_gets_zeros_without_a_keyframe():
    inputs = families.image_inputs(small_pipeline("i2v"), {}, SHAPE)
    assert inputs["clip_feature"].shape == (1, 257, 1280)
    assert not inputs["clip_feature"].any()
    assert not inputs["y"][:, :4].any()


@pytest.mark.parametrize(
    ("family", "indices", "words"),
    [("t2v", [0], "no input for images"), ("flf2v", [0], "reads two images"), ("ti2v", [0, 4], "one at frame 4"),
     ("i2v", [0], "no image encoder")],
)  # fmt: skip
def test_what_a_family_cannot_take_is_refused_with_the_reason(family, indices, words):
    pipe = small_pipeline(family)
    pipe.image_encoder = None if family == "i2v" else pipe.image_encoder
    with pytest.raises(ModelError, match=words):
        families.image_inputs(pipe, {index: picture(index) for index in indices}, SHAPE)


def test_the_image_encoder_sees_pictures_laid_out_in_memory_as_the_vendor_lays_them_out():
    """A GPU picks its kernels by the order in memory: in another one, the features differ in their last bits."""
    pipe, seen = small_pipeline("flf2v"), []
    inner = pipe.image_encoder.encode_image
    pipe.image_encoder.encode_image = lambda images: (seen.extend(images), inner(images))[1]
    pictures = {0: picture(0), LAST: picture(1)}
    size = {"height": SHAPE.height, "width": SHAPE.width}
    wan_video.WanVideoUnit_ImageEmbedderCLIP().process(pipe, **ends_call(pictures), **size)
    theirs, seen[:] = list(seen), []
    families.image_inputs(pipe, pictures, SHAPE)
    assert len(seen) == len(theirs) == 2
    for ours, other in zip(seen, theirs, strict=True):
        assert torch.equal(ours, other)
        assert ours.stride() == other.stride()
