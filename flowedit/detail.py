"""How edited latents become pixels: the plain decode, or the decoded change laid on a sharp reference."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from flowedit.model import Latent, Pixels, VideoModel
from flowedit.scaling import enlarge_change

Decode = Callable[[VideoModel, Latent, Pixels, Latent], Pixels]
"""(model, edited latents, reference pixels, the reference's own latents) -> edited pixels."""


def decode_plain(model: VideoModel, edited: Latent, reference: Pixels, latents: Latent) -> Pixels:
    """The picture that the latents stand for, blur of the autoencoder included."""
    del reference, latents
    return model.decode(edited).clamp(-1, 1)


def decode_residual(model: VideoModel, edited: Latent, reference: Pixels, latents: Latent) -> Pixels:
    """The reference plus the decoded change: the autoencoder's blur cancels wherever the edit changes nothing.

    `reference + (decode(edited) - decode(latents))`, in this order, so that no edit returns the reference to the bit.
    Latents of a smaller copy of the reference give a smaller change, which is enlarged.
    """
    change = model.decode(edited) - model.decode(latents)
    return (reference + enlarge_change(change, reference.shape[-2:])).clamp(-1, 1)


DETAILS: Mapping[str, Decode] = {"plain": decode_plain, "residual": decode_residual, "guided": decode_residual}


def lay_repair(
    reference: Float[Tensor, "b 3 F H W"],
    edited: Float[Tensor, "b 3 F H W"],
    share: Float32[np.ndarray, "F H W"] | Float[Tensor, "b 1 F H W"],
) -> Float[Tensor, "b 3 F H W"]:
    """The edit where the share is 1, the reference where it is 0, and a mixture between.

    Args:
        reference: the classical guess, in [-1, 1].
        edited: what the model made of it.
        share: in [0, 1]; see `flowedit.methods.guess.Guess.repair_share`.
    """
    return reference + torch.as_tensor(share).to(reference) * (edited - reference)
