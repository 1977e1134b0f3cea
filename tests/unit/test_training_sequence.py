"""The whole-clip form of the autoencoder and the training forward of the transformer equal the vendor's own."""

import pytest
import torch
from small_tiny import random_pipeline

from flowedit.wan import vendor
from training.forward import rotary_tables, velocity
from training.sequence import decode_sequence, encode_sequence, fast_forms


@pytest.fixture(scope="module")
def pipe():
    return random_pipeline(1)


@pytest.mark.parametrize("frames", [1, 5, 17])
def test_encoding_and_decoding_a_whole_clip_equals_the_chunk_loop(pipe, frames):
    model, scale = pipe.vae.model, [torch.zeros(pipe.vae.z_dim), torch.ones(pipe.vae.z_dim)]
    video = torch.rand(1, 3, frames, 32, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad(), fast_forms(compiled=lambda function: function):
        latents = model.encode(video, scale)
        torch.testing.assert_close(encode_sequence(model, video)[0], latents, atol=1e-5, rtol=1e-5)
        back = decode_sequence(model, latents)
        torch.testing.assert_close(back, model.decode(latents, scale), atol=1e-5, rtol=1e-5)


def test_each_frame_of_the_clip_reaches_the_latents(pipe):
    """A form that dropped a frame, or looked ahead, would agree with nothing; this names the frame."""
    model = pipe.vae.model
    video = torch.zeros(1, 3, 9, 16, 16)
    with torch.no_grad():
        base = encode_sequence(model, video)[0]
        for frame in range(9):
            touched = video.clone()
            touched[:, :, frame] = 1.0
            moved = (encode_sequence(model, touched)[0] - base).abs().amax((0, 1, 3, 4)) > 1e-6
            slot = (frame + 3) // 4
            assert moved[slot]
            assert not moved[:slot].any()


@pytest.mark.parametrize("ids", [(0, 1, 2, 3), (0, 1, 2, 1)], ids=["plain", "repeated"])
def test_the_training_forward_equals_the_vendors_model_function(pipe, monkeypatch, ids):
    """With the tables of its own positions, and with tables that repeat one as a keyframe's token does."""
    g, saved = torch.Generator().manual_seed(3), pipe.dit.freqs
    latents, y = torch.randn(1, 4, 4, 6, 8, generator=g), torch.randn(1, 8, 4, 6, 8, generator=g)
    context, given = torch.randn(1, 32, 16, generator=g), torch.tensor(ids)
    plain = ids == tuple(range(4))
    tables = {} if plain else {"tables": rotary_tables(pipe.dit, given, 3, 4)}
    with torch.no_grad():
        found = velocity(pipe.dit, latents, torch.tensor([0.7]), (context, y), **tables)
        monkeypatch.setattr(pipe.dit, "freqs", saved if plain else (saved[0][given], *saved[1:]))
        expected = vendor.model_fn_wan_video(
            dit=pipe.dit, latents=latents, timestep=torch.tensor([700.0]), context=context, y=y
        )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
