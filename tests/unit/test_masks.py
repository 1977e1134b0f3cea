"""Masks: the source exact outside, read from a picture or a video, at any size."""

import numpy as np
import pytest
from PIL import Image

from flowedit.edit.masks import apply_mask, read_mask
from flowedit.errors import VideoFileError, VideoShapeError
from flowedit.media.clip import write_video


@pytest.mark.usefixtures("unchecked")
def test_masks_keep_the_source_exactly_outside_and_the_edit_inside():
    rng = np.random.default_rng(0)
    source, edited = rng.integers(0, 256, (2, 3, 16, 16, 3), dtype=np.uint8)
    mask = np.zeros((3, 16, 16), np.float32)
    mask[:, 4:12] = 1
    mask[:, 8] = 0.5
    mixed = apply_mask(source, edited, mask)
    assert np.array_equal(mixed[mask == 0], source[mask == 0])
    assert np.array_equal(mixed[mask == 1], edited[mask == 1])
    assert np.abs(mixed[:, 8] - (source[:, 8] / 2 + edited[:, 8] / 2)).max() <= 0.5
    with pytest.raises(VideoShapeError, match="read_mask"):
        apply_mask(source, edited, mask[:, :8])


def test_a_mask_picture_holds_for_every_frame_and_is_resized(tmp_path):
    picture = np.zeros((32, 64), np.uint8)
    picture[:, 32:] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", 5, (16, 32))
    assert mask.shape == (5, 16, 32)
    assert mask.dtype == np.float32
    assert (mask[:, :, :16] == 0).all()
    assert (mask[:, :, 16:] == 1).all()


def test_a_mask_video_moves_with_the_window_and_compression_leaves_black_black(tmp_path):
    frames = np.zeros((12, 32, 48, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 4 * i : 4 * i + 4] = 255
    write_video(tmp_path / "mask.mp4", frames, 25)
    mask = read_mask(tmp_path / "mask.mp4", 3, (32, 48), start=6)
    for i in range(3):
        bar = mask[i].mean(axis=0)
        assert int(np.argmax(bar)) // 4 == 6 + i
        assert (mask[i][:, :20] == 0).all()
    with pytest.raises(VideoFileError, match="12 frames"):
        read_mask(tmp_path / "mask.mp4", 7, (32, 48), start=6)
