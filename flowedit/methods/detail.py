"""How edited latents become pixels: the plain decode, or the decoded change laid on a sharp reference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flowedit.frames import Video
from flowedit.model import Latent, Pixels, VideoModel, to_pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What the decoded change is laid on: the source, or what a method puts in its place.

    Attributes:
        frames: uint8 (F, H, W, 3).
        latents: their clean latents.
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
    """
    change = model.decode(edited) - model.decode(reference.latents)
    return (to_pixels(reference.frames, edited.device) + change).clamp(-1, 1)


DETAILS: Mapping[str, Decode] = {"plain": decode_plain, "residual": decode_residual}
