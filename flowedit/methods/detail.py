"""How edited latents become pixels: the plain decode, or the decoded change laid on a sharp reference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float

from flowedit.frames import Video
from flowedit.model import Latent, Pixels, VideoModel, to_pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What the decoded change is laid on: the source, or what a method puts in its place.

    Attributes:
        frames: at the clip's own size, uint8 (F, H, W, 3).
        latents: their clean latents, of a smaller copy where the settings' scale is below 1.
    """

    frames: Video
    latents: Latent

    def lay(self, edited: Pixels) -> Pixels:
        """The edit as it is shown."""
        return edited


Decode = Callable[[VideoModel, Latent, Reference], Pixels]
"""(model, edited latents, reference) -> edited pixels."""


def decode_plain(model: VideoModel, edited: Latent, reference: Reference) -> Pixels:
    """The picture that the latents stand for, blur of the autoencoder included."""
    del reference
    return model.decode(edited).clamp(-1, 1)


def decode_residual(model: VideoModel, edited: Latent, reference: Reference) -> Pixels:
    """The reference plus the decoded change: the autoencoder's blur cancels wherever the edit changes nothing.

    `reference + (decode(edited) - decode(latents))`, in this order, so that no edit returns the reference to the bit.
    Latents of a smaller copy of the reference give a smaller change, which is enlarged.
    """
    change = model.decode(edited) - model.decode(reference.latents)
    pixels = to_pixels(reference.frames, edited.device)
    return (pixels + enlarge_change(change, pixels.shape[-2:])).clamp(-1, 1)


DETAILS: Mapping[str, Decode] = {"plain": decode_plain, "residual": decode_residual}


def enlarge_change(change: Float[torch.Tensor, "1 3 F h w"], size: Sequence[int]) -> Float[torch.Tensor, "1 3 F H W"]:
    """A change of pixels at another (height, width), by linear interpolation; itself at its own."""
    if tuple(change.shape[-2:]) == tuple(size):
        return change
    frames = F.interpolate(change[0].transpose(0, 1), size=tuple(size), mode="bilinear", align_corners=False)
    return frames.transpose(0, 1).unsqueeze(0)
