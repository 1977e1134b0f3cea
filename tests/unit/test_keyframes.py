"""Keyframes become latents in three ways, one by one, and pixels survive the way to the model and back."""

import numpy as np
import pytest
import torch
from oracles import SIZE, PointMass, pictures

from flowedit.errors import KeyframeError, SettingError
from flowedit.keyframes import Keyframe, check_keyframes
from flowedit.methods.encoding import ENCODINGS, encode_keyframes
from flowedit.model import ClipShape, to_frames, to_pixels

SHAPE = ClipShape(num_frames=9, height=SIZE[0], width=SIZE[1])


@pytest.fixture
def clip():
    """A model that remembers what it was asked to encode, a clip and its latents."""
    model, frames, encoded = PointMass(), pictures(9), []
    source, encode = model.encode(to_pixels(frames)), model.encode
    model.encoded, model.encode = encoded, lambda video: encoded.append(to_frames(video)) or encode(video)
    return model, frames, source


def test_every_pixel_value_survives_the_way_to_the_model_and_back():  # catches: truncation, a scale of 128
    frames = np.arange(256, dtype=np.uint8).reshape(1, 8, 32, 1).repeat(3, axis=3)
    pixels = to_pixels(frames)
    assert (to_frames(pixels) == frames).all()
    assert (pixels.min(), pixels.max()) == (-1, 1)


def test_axes_go_from_frames_last_to_frames_inside():  # catches: height and width, or colours and frames, swapped
    frames = pictures(5)
    pixels = to_pixels(frames)
    assert pixels.shape == (1, 3, 5, *SIZE)
    assert pixels[0, 2, 4, 6, 11] == pytest.approx(frames[4, 6, 11, 2] / 127.5 - 1, abs=1e-6)


@pytest.mark.parametrize(
    ("encoding", "index", "count"),
    [("still", 8, 1), ("hold", 0, 1), ("hold", 8, 5)],  # catches: frame 0 encoded as a group, four frames not five
)
def test_a_keyframe_is_encoded_alone_or_fills_its_group_and_one_frame_before(clip, encoding, index, count):
    model, frames, source = clip
    image = pictures(1, seed=5)[0]
    latent = encode_keyframes(model, [Keyframe(index, image)], frames, source, encoding)
    (held,) = model.encoded
    assert held.shape[0] == count
    assert (held == image).all()
    assert torch.equal(latent, PointMass().encode(to_pixels(held))[:, :, -1:])  # catches: latent 0 taken


def test_delta_keeps_the_sources_motion_and_adds_the_style(clip):  # catches: the wrong slot, the wrong own frame
    model, frames, source = clip
    image = pictures(1, seed=5)[0]
    latent = encode_keyframes(model, [Keyframe(7, image)], frames, source, "delta")
    styled, plain = (
        PointMass().encode(to_pixels(picture[None].repeat(5, 0)))[:, :, 1:] for picture in (image, frames[7])
    )
    assert (latent - (source[:, :, 2:3] + styled - plain)).abs().max() < 1e-12


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_an_unstyled_keyframe_is_the_sources_latent_by_delta_alone(clip, encoding):  # catches: (source + styled) - own
    model, frames, source = clip
    latents = encode_keyframes(model, [Keyframe(index, frames[index]) for index in (3, 8)], frames, source, encoding)
    if encoding == "delta":
        assert torch.equal(latents, source[:, :, [1, 2]])
    else:
        assert (latents - source[:, :, [1, 2]]).abs().amax(dim=(0, 1, 3, 4)).min() > 0.01


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_keyframes_come_out_in_order_each_by_itself(clip, encoding):  # catches: keyframes encoded as one clip
    model, frames, source = clip
    keyframes = [Keyframe(index, picture) for index, picture in zip((0, 4, 8), pictures(3, seed=5), strict=True)]
    together = encode_keyframes(model, keyframes, frames, source, encoding)
    apart = [encode_keyframes(model, [keyframe], frames, source, encoding) for keyframe in keyframes]
    assert torch.equal(together, torch.cat(apart, dim=2))


def test_no_keyframes_give_no_latents_and_an_unknown_encoding_lists_those_there_are(clip):
    model, frames, source = clip
    assert encode_keyframes(model, [], frames, source, "hold").shape == (1, 3, 0, *source.shape[3:])
    with pytest.raises(SettingError, match="keyframe encoding is 'mean'; use one of still, hold, delta"):
        encode_keyframes(model, [], frames, source, "mean")


@pytest.mark.usefixtures("unchecked")
def test_keyframes_that_fit_give_their_slots():  # catches: a NumPy index, which JSON cannot write, let through
    keyframes = [Keyframe(np.int64(0), pictures(1)[0]), Keyframe(8, pictures(1)[0])]
    assert check_keyframes(keyframes, SHAPE) == (0, 2)
    assert keyframes[1].slot == 2
    assert type(keyframes[0].index) is int


@pytest.mark.parametrize(
    ("index", "image", "words"),
    [
        (4.0, pictures(1)[0], "Keyframe index 4.0 is not a whole number; give a pixel frame"),
        (4, pictures(1)[0].astype(np.float32), r"Keyframe 4 is float32 \(8, 12, 3\); an image is uint8 .*read_image"),
        (4, pictures(1)[0, :, :, 0], r"Keyframe 4 is uint8 \(8, 12\)"),
        (4, pictures(1)[0].tolist(), "Keyframe 4 is list"),
        (4, np.zeros((8, 12, 4), np.uint8), r"Keyframe 4 is uint8 \(8, 12, 4\)"),
        (4, pictures(1, size=(8, 8))[0], "Keyframe 4 is 8x8 and the clip 8x12; resize the keyframe"),
        (9, pictures(1)[0], "Keyframe 9 is outside the clip; its frames are 0 to 8"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_keyframes_that_do_not_fit_are_refused(index, image, words):
    with pytest.raises(KeyframeError, match=words):
        check_keyframes([Keyframe(index, image)], SHAPE)
