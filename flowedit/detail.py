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


_RIDGE = 1e-3
"""Keeps a fit defined where the colours of a clip lie in a plane; of their mean square, white = 1 and black = -1."""


def lay_repair(
    reference: Float[Tensor, "b 3 F H W"],
    edited: Float[Tensor, "b 3 F H W"],
    share: Float32[np.ndarray, "F H W"] | Float[Tensor, "b 1 F H W"],
    agreement: float | Float[Tensor, " b"] = 0.0,
    mask: Float32[np.ndarray, "F H W"] | None = None,
) -> Float[Tensor, "b 3 F H W"]:
    """The edit where the share is 1, the reference where it is 0, and a mixture between; its colours as they agree.

    Where keyframes agree, the reference's colours come from a map fitted on all of them, which errs less than a
    model does: what the edit changes in all places of one colour alike is then taken from the change first.

    Args:
        reference: the classical guess, in [-1, 1].
        edited: what the model made of it.
        share: in [0, 1]; see `flowedit.estimate.blend.Guess.repair_share`.
        agreement: of the keyframes, in [0, 1]; see `flowedit.estimate.blend.Guess.agreement`.
        mask: where the edit was free to change the clip, in [0, 1]; elsewhere it shows the source. None for everywhere.
    """
    change = edited - reference
    kept = torch.as_tensor(agreement, dtype=change.dtype, device=change.device).reshape(-1, 1, 1, 1, 1)
    if kept.any():
        change = change - kept * common_change(reference, change, mask)
    return (reference + torch.as_tensor(share).to(reference) * change).clamp(-1, 1)


def common_change(
    reference: Float[Tensor, "b 3 F H W"],
    change: Float[Tensor, "b 3 F H W"],
    mask: Float32[np.ndarray, "F H W"] | None = None,
) -> Float[Tensor, "b 3 F H W"]:
    """The part of a change that is one affine function of the reference's colours, fitted on all frames given.

    Args:
        reference: colours in [-1, 1].
        change: what is added to them.
        mask: how far each pixel counts in the fit, in [0, 1]; None for all alike.
    """
    terms = torch.cat([reference, torch.ones_like(reference[:, :1])], dim=1).to(change)
    weight = torch.ones_like(terms[:1, :1]) if mask is None else torch.as_tensor(mask).to(terms)[None, None]
    counted = terms * (weight / weight.sum().clamp(min=1))
    gram = torch.einsum("bifhw,bjfhw->bij", counted, terms)
    moment = torch.einsum("bifhw,bjfhw->bij", counted, change)
    ridge = _RIDGE * torch.eye(len(gram[0]), dtype=gram.dtype, device=gram.device)
    return torch.einsum("bij,bifhw->bjfhw", (gram + ridge).inverse() @ moment, terms)
