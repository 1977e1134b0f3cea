"""Keyframe conditioning at any pixel frame; that it is the vendor's is tested with the families."""

import numpy as np
import pytest
import torch

from flowedit.errors import VideoShapeError
from flowedit.wan import routes


def test_each_image_lands_on_its_own_frame():
    images = torch.stack([torch.full((3, 4, 4), 0.25), torch.full((3, 4, 4), 0.75)])
    seen = []
    routes.i2v_condition(images, [8, 2], 9, lambda clip: (seen.append(clip), clip[:, :, ::4])[1])
    assert seen[0][0, 0, :, 0, 0].tolist() == [0, 0, 0.75, 0, 0, 0, 0, 0, 0.25]


def test_a_length_that_wan_does_not_know_is_refused():
    with pytest.raises(VideoShapeError, match="5 or 9"):
        routes.i2v_condition(torch.zeros(1, 3, 16, 16), [1], 8, lambda clip: clip)


def test_confidence_is_laid_out_as_the_bits_of_keyframes_are():
    """Catches bits in the wrong channel or slot, and confidence that does not reach its frame."""
    confidence = torch.zeros(9, 2, 3)
    bits = [[1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert routes.confidence_mask(confidence, [0, 3, 8])[:, :, 1, 2].T.tolist() == bits
    assert routes.keyframe_mask([0, 3, 8], 9, 2, 3)[:, :, 0, 0].T.tolist() == bits
    confidence[5] = 0.25
    mask = routes.confidence_mask(confidence, [0])
    assert (mask[0, 2] == 0.25).all()
    assert mask.sum() == 4 * 6 + 0.25 * 6


def test_an_estimate_stands_where_others_see_grey_and_its_confidence_is_averaged_per_cell():
    clip = torch.rand(1, 3, 9, 16, 24) * 2 - 1
    confidence = np.zeros((9, 16, 24), np.float32)
    confidence[4, :4, :8] = 1
    y = routes.clip_condition(clip, confidence, [0], lambda clip: clip[:, :, ::4, ::8, ::8])
    assert torch.equal(y[:, 4:], clip[:, :, ::4, ::8, ::8])
    assert float(y[0, 3, 1, 0, 0]) == 0.5
    assert (y[0, :4, 0] == 1).all()
    assert y[0, :4, 1:].sum() == 0.5
