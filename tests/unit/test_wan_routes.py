"""Keyframe conditioning equals what the vendor's own pipeline computes, and refuses what cannot be meant."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_wan import record, small_pipeline

from flowedit.errors import VideoShapeError
from flowedit.model import ClipShape
from flowedit.wan import routes
from flowedit.wan.families import image_inputs

SIZE = (9, 32, 48)  # frames, height, width


def pictures(count, seed=0, size=SIZE[1:]):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("indices", [[0], [0, 8]], ids=["first", "first and last"])
def test_i2v_condition_is_the_vendors_to_the_last_bit(dtype, indices):
    pipe, images = small_pipeline("i2v", dtype), pictures(len(indices))
    frames, height, width = SIZE
    ends = {"end_image": Image.fromarray(images[1])} if len(indices) == 2 else {}
    _, calls = record(
        pipe, prompt="a cat", input_image=Image.fromarray(images[0]), **ends,
        num_frames=frames, height=height, width=width, num_inference_steps=1, cfg_scale=1.0, seed=3,
    )  # fmt: skip
    shape = ClipShape(num_frames=frames, height=height, width=width)
    ours = image_inputs(pipe, dict(zip(indices, images, strict=True)), shape)["y"]
    assert calls[0][0]["y"].std() > 0.1
    assert torch.equal(ours, calls[0][0]["y"])


def test_a_keyframe_in_the_middle_sets_one_bit_of_its_slot():
    mask = routes.keyframe_mask([0, 3, 8], 9, 2, 3)[:, :, 0, 0]
    assert mask.T.tolist() == [[1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_each_image_lands_on_its_own_frame():
    images = torch.stack([torch.full((3, 4, 4), 0.25), torch.full((3, 4, 4), 0.75)])
    seen = []
    routes.i2v_condition(images, [8, 2], 9, lambda clip: (seen.append(clip), clip[:, :, ::4])[1])
    assert seen[0][0, 0, :, 0, 0].tolist() == [0, 0, 0.75, 0, 0, 0, 0, 0, 0.25]


def test_no_keyframe_leaves_the_mask_empty():
    encode = lambda clip: clip[:, :1, ::4, ::8, ::8]  # noqa: E731 - a one-line stand-in for a VAE
    y = routes.i2v_condition(torch.zeros(0, 3, 16, 16), [], 9, encode)
    assert y.shape == (1, 5, 3, 2, 2)
    assert not y.any()


def test_a_length_that_wan_does_not_know_is_refused():
    with pytest.raises(VideoShapeError, match="5 or 9"):
        routes.i2v_condition(torch.zeros(1, 3, 16, 16), [1], 8, lambda clip: clip)


def test_trust_laid_out_as_a_mask_is_the_keyframe_mask_where_it_is_all_or_nothing():
    """Catches bits in the wrong channel or slot, and confidence that does not reach its frame."""
    confidence = torch.zeros(9, 2, 3)
    bits = [[1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert routes.confidence_mask(confidence, [0, 3, 8])[:, :, 1, 2].T.tolist() == bits
    confidence[5] = 0.25
    mask = routes.confidence_mask(confidence, [0])
    assert (mask[0, 2] == 0.25).all()
    assert mask.sum() == 4 * 6 + 0.25 * 6


def test_a_guess_stands_where_others_see_grey_and_its_trust_is_averaged_per_cell():
    clip = torch.rand(1, 3, 9, 16, 24) * 2 - 1
    confidence = np.zeros((9, 16, 24), np.float32)
    confidence[4, :4, :8] = 1
    y = routes.estimate_condition(clip, confidence, [0], lambda clip: clip[:, :, ::4, ::8, ::8])
    assert torch.equal(y[:, 4:], clip[:, :, ::4, ::8, ::8])
    assert float(y[0, 3, 1, 0, 0]) == 0.5
    assert (y[0, :4, 0] == 1).all()
    assert y[0, :4, 1:].sum() == 0.5
