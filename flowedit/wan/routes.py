"""How keyframes become the conditioning that each Wan family was trained with.

The `i2v` route (Wan I2V, FLF2V, Fun-InP and the small model): keyframe images at their own pixel frames, zeros
everywhere else, encoded by the VAE, beside four mask channels that hold one bit per pixel frame.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from flowedit.errors import KeyframeError
from flowedit.frames import check_num_frames

Encode = Callable[[Float[Tensor, "b 3 F H W"]], Float[Tensor, "b c f h w"]]


def unit_images(
    images: UInt8[Tensor, "k H W 3"], *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Float[Tensor, "k 3 H W"]:
    """Map 8-bit images to [-1, 1] with the vendor's rounding.

    The vendor scales after the cast, so the arithmetic runs in `dtype` here as well: in bfloat16 the two orders differ.

    Args:
        images: RGB images, 0 to 255.
        dtype: floating type of the result.
        device: where the result lives.

    Returns:
        The images as `(k, 3, H, W)`, in [-1, 1].
    """
    values = images.to(device=device, dtype=dtype) * (2 / 255) - 1
    return values.permute(0, 3, 1, 2)


def keyframe_video(
    images: Float[Tensor, "k 3 H W"], indices: Sequence[int], num_frames: int
) -> Float[Tensor, "1 3 F H W"]:
    """Lay the keyframes at their pixel frames in a clip that is zero (mid-grey) elsewhere."""
    _check_indices(images, indices, num_frames)
    clip = images.new_zeros((3, num_frames, *images.shape[-2:]))
    for image, index in zip(images, indices, strict=True):
        clip[:, index] = image
    return clip.unsqueeze(0)


def keyframe_mask(
    indices: Sequence[int], num_frames: int, height: int, width: int
) -> Float[Tensor, "4 f {height} {width}"]:
    """Mark the known pixel frames, four to a latent slot.

    Pixel frame 0 fills all four channels of slot 0; pixel frame `i > 0` sets channel `(i - 1) % 4` of slot
    `(i + 3) // 4`, the layout that Wan's image-to-video checkpoints were trained with.

    Args:
        indices: pixel frames that are keyframes.
        num_frames: pixel frames of the clip, `4n + 1`.
        height: rows of the latent.
        width: columns of the latent.

    Returns:
        Zeros and ones in float32.
    """
    bits = torch.zeros(num_frames + 3)
    for index in indices:
        bits[index + 3] = 1.0
        if index == 0:
            bits[:4] = 1.0
    return bits.view(-1, 4).T[:, :, None, None].expand(-1, -1, height, width).contiguous()


def i2v_condition(
    images: Float[Tensor, "k 3 H W"], indices: Sequence[int], num_frames: int, encode: Encode
) -> Float[Tensor, "1 c f h w"]:
    """Build the `y` of Wan's image-to-video checkpoints for keyframes at any pixel frames.

    For the first frame, or the first and the last, this is the tensor that the vendor's own image unit builds, to
    the last bit. With no keyframe (`k = 0`) the mask is empty and the VAE sees a grey clip.

    Args:
        images: keyframes in [-1, 1], in the dtype and on the device that the VAE works in.
        indices: their pixel frames, each once, in [0, num_frames).
        num_frames: pixel frames of the clip, `4n + 1`.
        encode: the VAE's encoder, from a clip in [-1, 1] to a normalised latent.

    Returns:
        Four mask channels followed by the latent's own, in the latent's dtype.

    Raises:
        KeyframeError: an index twice, out of range, or not one per image.
        VideoShapeError: `num_frames` is not `4n + 1`.

    Example:
        >>> encode = lambda clip: clip[:, :1, ::4, ::8, ::8]
        >>> i2v_condition(torch.ones(1, 3, 16, 16), [4], 9, encode).shape
        torch.Size([1, 5, 3, 2, 2])
    """
    latent = encode(keyframe_video(images, indices, num_frames))
    mask = keyframe_mask(indices, num_frames, *latent.shape[-2:])
    return torch.cat([mask.unsqueeze(0).to(latent), latent], dim=1)


def _check_indices(images: Tensor, indices: Sequence[int], num_frames: int) -> None:
    check_num_frames(num_frames)
    if len(indices) != len(images):
        raise KeyframeError(
            f"{len(images)} keyframe images came with {len(indices)} indices. Give one index per image."
        )
    outside = [index for index in indices if not 0 <= index < num_frames]
    if outside:
        raise KeyframeError(f"Keyframe index {outside[0]} is outside the clip. Use 0 to {num_frames - 1}.")
    if len(set(indices)) != len(indices):
        raise KeyframeError(f"A keyframe index is given twice in {list(indices)}. Give each frame once.")
