"""How keyframes, or a classical estimate, become the `y` of Wan's image-to-video checkpoints.

The `i2v` route (Wan I2V, FLF2V, Fun-InP and the small model): keyframe images at their own pixel frames, zeros
everywhere else, encoded by the VAE, after four mask channels that hold one bit per pixel frame. The small model sees
the source there, or an estimate, instead of zeros.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from flowedit.frames import check_num_frames

_BITS = 4
"""Mask channels of the `i2v` route, one a pixel frame of a slot."""
Encode = Callable[[Float[Tensor, "b 3 F H W"]], Float[Tensor, "b c f h w"]]
"""The VAE's encoder, from a clip in [-1, 1], in its type and on its device, to a normalised latent."""


def i2v_condition(
    images: Float[Tensor, "k 3 H W"], indices: Sequence[int], num_frames: int, encode: Encode
) -> Float[Tensor, "1 c f h w"]:
    """Build the `y` of Wan's image-to-video checkpoints for keyframes at any pixel frames, in the latent's dtype.

    For the first frame, or the first and the last, this is the tensor that the vendor's own image unit builds, to
    the last bit. With no keyframe (`k = 0`) the mask is empty and the VAE sees a grey clip.

    Args:
        images: keyframes in [-1, 1], in the dtype and on the device that the VAE works in.
        indices: their pixel frames, each once, in [0, num_frames).
        num_frames: pixel frames of the clip, `4n + 1`.
        encode: the VAE's encoder.
    """
    check_num_frames(num_frames)
    clip = images.new_zeros((1, 3, num_frames, *images.shape[-2:]))
    for image, index in zip(images, indices, strict=True):
        clip[0, :, index] = image
    latent = encode(clip)
    mask = keyframe_mask(indices, num_frames, *latent.shape[-2:])
    return torch.cat([mask.unsqueeze(0).to(latent), latent], dim=1)


def clip_condition(
    clip: Float[Tensor, "1 3 F H W"],
    confidence: Float32[np.ndarray, "F H W"] | None,
    indices: Sequence[int],
    encode: Encode,
) -> Float[Tensor, "1 c f h w"]:
    """Build the `y` of a model that sees a clip where others see grey: the source with keyframes in it, or an estimate.

    The clip is in [-1, 1]; the confidence of an estimate, in [0, 1], stands where others see bits, and is None for a
    source; `indices` are the pixel frames that are keyframes.
    """
    latent = encode(clip)
    size = latent.shape[-2:]
    if confidence is None:
        mask = keyframe_mask(indices, clip.shape[2], *size)
    else:
        mask = confidence_mask(torch.from_numpy(confidence_cells(confidence, *size)), indices)
    return torch.cat([mask.unsqueeze(0).to(latent), latent], dim=1)


def keyframe_mask(
    indices: Sequence[int], num_frames: int, height: int, width: int
) -> Float[Tensor, "4 f {height} {width}"]:
    """Mark the known pixel frames, four to a slot, in zeros and ones, for latents of this height and width."""
    return confidence_mask(torch.zeros(num_frames, height, width), indices)


def confidence_mask(confidence: Float[Tensor, "F h w"], indices: Sequence[int]) -> Float[Tensor, "4 f h w"]:
    """Lay confidence, in [0, 1], out as mask channels: how far each pixel frame is known, 1 at keyframes.

    Pixel frame 0 fills all four channels of slot 0; pixel frame `i > 0` sets channel `(i - 1) % 4` of slot
    `(i + 3) // 4`, the layout that Wan's image-to-video checkpoints were trained with.
    """
    known = confidence.clone()
    known[list(indices)] = 1
    filled = torch.cat([known[:1].expand(_BITS - 1, -1, -1), known])
    return filled.unflatten(0, (-1, _BITS)).transpose(0, 1).contiguous()


def confidence_cells(confidence: Float32[np.ndarray, "F H W"], height: int, width: int) -> Float32[np.ndarray, "F h w"]:
    """Average confidence over the pixels of each of `height` times `width` latent cells."""
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in confidence])
