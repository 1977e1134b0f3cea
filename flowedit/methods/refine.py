"""`refine`: the model looks once at the source with little noise, sees the classical estimate, and mends its doubts.

The estimate (`flowedit.estimate`) recolours the clip and carries the keyframes' detail to every frame; it also says how
sure it is of each pixel. A model that was trained for it sees both where others see grey, and what it makes of the clip
is laid on the estimate by need: a refinement brings lines, texture and what was hidden, not a tint of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from flowedit.estimate import Estimate
from flowedit.flow import euler_step, interpolate, predict_data
from flowedit.media.images import resize_video
from flowedit.methods.branches import EditProblem, State
from flowedit.methods.detail import Reference
from flowedit.model import Latent, Pixels, to_pixels

_RIDGE = 1e-3
"""Keeps a fit defined where the colours of a clip lie in a plane; of their mean square, white = 1 and black = -1."""


def refine(problem: EditProblem, begun: tuple[Latent] | None = None) -> Iterator[State]:
    """Denoise the noised source; keyframes act through the estimate that the model is shown.

    Args:
        problem: the edit; `strength` has already chosen its first sigma.
        begun: what a stopped run carried to the first of these sigmas; None begins with the noised source.

    Yields:
        The state after each step; `latents` of the last one is the edited clip.
    """
    source, noise = problem.source, problem.noise
    (x,) = begun or (interpolate(source, noise, problem.sigmas[0]),)
    for sigma, sigma_next in pairwise(problem.sigmas):
        v = problem.v_target(x, problem.keys, sigma)
        clean = predict_data(x, v, sigma)
        x = euler_step(x, v, sigma, sigma_next)
        x = problem.after_step(x, interpolate(source, noise, sigma_next), sigma_next)
        yield State(latents=clean if sigma_next > 0 else x, x_main=x, x_key=problem.keys, gap=None, carried=(x,))


@dataclass(frozen=True, kw_only=True, eq=False)
class EstimateReference(Reference):
    """An estimate as what the decoded change is laid on, by need.

    Attributes:
        need: how far the change is laid on each pixel, (F, H, W) in [0, 1].
        agreement: of the keyframes, in [0, 1]: how far the estimate keeps its own colours.
        mask: where the edit may change the clip, (F, H, W) in [0, 1]; None for everywhere.
    """

    need: Float32[np.ndarray, "F H W"]
    agreement: float
    mask: Float32[np.ndarray, "F H W"] | None = None

    def lay(self, edited: Pixels) -> Pixels:
        """The estimate with what the model changed of it."""
        return lay_change(to_pixels(self.frames, edited.device), edited, self.need, self.agreement, self.mask)


def resized(estimate: Estimate, size: tuple[int, int]) -> Estimate:
    """An estimate at another (height, width); itself at its own."""
    if estimate.frames.shape[1:3] == size:
        return estimate
    confidence = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in estimate.confidence]
    return replace(estimate, frames=resize_video(estimate.frames, size), confidence=np.stack(confidence), shrunk=True)


def lay_change(
    reference: Float[Tensor, "b 3 F H W"],
    edited: Float[Tensor, "b 3 F H W"],
    need: Float32[np.ndarray, "F H W"] | Float[Tensor, "b 1 F H W"],
    agreement: float | Float[Tensor, " b"] = 0.0,
    mask: Float32[np.ndarray, "F H W"] | None = None,
) -> Float[Tensor, "b 3 F H W"]:
    """The edit where the need is 1, the reference where it is 0, and a mixture between; its colours as they agree.

    Where keyframes agree, the reference's colours come from a map fitted on all of them, which errs less than a
    model does: what the edit changes in all places of one colour alike is then taken from the change first.

    Args:
        reference: the estimate, in [-1, 1].
        edited: what the model made of it.
        need: in [0, 1]; see `flowedit.estimate.Estimate.need`.
        agreement: of the keyframes, in [0, 1]; see `flowedit.estimate.Estimate.agreement`.
        mask: where the edit was free to change the clip, in [0, 1]; elsewhere it shows the source. None for everywhere.
    """
    change = edited - reference
    kept = torch.as_tensor(agreement, dtype=change.dtype, device=change.device).reshape(-1, 1, 1, 1, 1)
    if kept.any():
        change = change - kept * common_change(reference, change, mask)
    return (reference + torch.as_tensor(need).to(reference) * change).clamp(-1, 1)


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
