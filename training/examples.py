"""Where training examples lie, and what they are shown: drawn anew at each step, from the rows of a replay ring."""

from typing import NamedTuple

import torch
from torch import Tensor

from training.keyframes import at_slots

BRIDGES, OWN, PULLED = 0.75, 0.8, 0.35
"""Shares of the examples off the line to the source; of these, of those made of the model's own answer; and of all, of
those nearer to the right answer at the keyframes' slots."""
LOWEST = 0.15
"""Lowest level of an example made of the model's own answer."""


class Example(NamedTuple):
    """Where training examples lie.

    Attributes:
        state, noise: ``(b, z, f, h, w)``.
        sigma: noise levels, ``(b,)``.
        weight: of their errors, ``(b,)``.
        own: which are made of the model's own answer, ``(b,)``.
    """

    state: Tensor
    noise: Tensor
    sigma: Tensor
    weight: Tensor
    own: Tensor


def on_the_way(rows: dict[str, Tensor], estimated: Tensor) -> Example:
    """Draw states that edits pass through; the right velocity there is ``(state - z0) / sigma``.

    An edit that began from the clip ``z_c`` is at ``z = (1 - s) z0 + s noise + lean (z_c - z0)``, with a lean that
    falls to zero with the level; at slots where a correction pulls, it is smaller. An edit knows no right answer:
    in most of these examples ``z0`` is what the model last answered for this clip, at first the source. Examples that
    show an estimate, ``estimated (b,)``, start from the source at a low level.
    """
    z0, n, device = rows["z0"], len(rows["z0"]), rows["z0"].device
    sigma, lean, own = draw_levels(n, device, estimated)
    from_estimate = rows["estimated"] & ~estimated & ~own & (torch.rand(n, device=device) < 0.3)
    marked = (rows["mask"].amax(1)[:, :, 0, 0] > 0) & ~estimated[:, None]
    marked &= torch.rand(n, 1, device=device) < PULLED
    answer = torch.where(column(own) & ~marked[:, None, :, None, None], rows["answer"], z0)
    off = torch.where(column(from_estimate), rows["ze"], rows["zs"]) - answer
    pulled = torch.where(marked, torch.rand(n, z0.shape[2], device=device), 1.0)
    noise, s = torch.randn_like(z0), column(sigma)
    state = (1 - s) * answer + s * noise + column(lean) * pulled[:, None, :, None, None] * off
    return Example(state, noise, sigma, 1 / (1 + (lean / sigma) ** 2), own)


def draw_levels(number: int, device: torch.device, estimated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw noise levels in (0, 1), how far each example leans towards the clip that its edit began from, and its kind.

    All ``(n,)``; the lean, in [0, 1], is 0 on the line from noise to the answer; the kind is whether the example is
    made of the model's own answer. Examples that refine an estimate, ``estimated (n,)``, are mostly near their first
    step, at a low level.
    """
    even, high, kind, loose = (torch.rand(number, device=device) for _ in range(4))
    spread = (torch.arange(number, device=device) + torch.rand(number, device=device)) / number
    bridge = (kind < BRIDGES) & ~estimated
    own = bridge & (torch.rand(number, device=device) < OWN)
    sigma = torch.where(bridge, 0.02 + 0.96 * even, 2.5 * spread / (1 + 1.5 * spread))
    sigma = torch.where(own, sigma.clamp(min=LOWEST), sigma)
    low = sigma.clamp(min=0.35)
    start = torch.where(bridge, low + (1 - low) * high, 1.0)
    first = 0.15 + 0.5 * high
    sigma = torch.where(estimated, first * torch.where(kind < 0.5, 1.0, even.sqrt()), sigma).clamp(min=5e-3)
    start = torch.where(estimated, first, start)
    lean = sigma * (1 - start) / start
    # Steps of a learned field do not keep to the way: half of the examples lie somewhere beside it.
    aside = bridge & (loose < 0.5)
    return sigma, torch.where(aside, lean * torch.rand(number, device=device) * 1.2, lean), own


def shown_frames(rows: dict[str, Tensor], estimated: Tensor, *, images: bool) -> Tensor:
    """Lay out what the image route shows: four mask channels and latents, ``(b, 4 + z, f, h, w)``.

    Keyframe images stand in the source; without `images` it is the source alone, and an empty mask.

    Args:
        rows: of a replay ring.
        estimated: which examples show an estimate.
        images: whether keyframe images are shown.
    """
    mask, latents = (rows["mask"], rows["keys"]) if images else (torch.zeros_like(rows["mask"]), rows["zs"])
    plain = torch.cat([mask.expand(-1, -1, -1, *latents.shape[3:]), latents], dim=1)
    return torch.where(column(estimated), torch.cat([rows["confidence"], rows["ze"]], dim=1), plain)


def token_latents(rows: dict[str, Tensor], slots: Tensor) -> Tensor:
    """Clean latents of keyframe tokens, in the ways in which edits encode them.

    Half are the source's own with the change of a held picture (``delta``), a third held pictures, the rest the clip's
    own latents.
    """
    n, k = slots.shape
    kind = column(torch.rand(n, device=slots.device))
    delta = at_slots(rows["zs"], slots) + rows["change"][:, :, :k]
    key = torch.where(kind < 0.5, delta, rows["held"][:, :, :k])
    return torch.where(kind < 0.83, key, at_slots(rows["z0"], slots))


def column(value: Tensor) -> Tensor:
    """Give ``(n,)`` the axes of latents."""
    return value.view(-1, 1, 1, 1, 1)
