"""Where training examples lie, and what they are shown: drawn anew at each step, from the rows of a replay ring."""

from typing import NamedTuple

import torch
from torch import Tensor

from training.keyframes import at_slots

SOURCE = 0.55
"""Share of the other examples that see the source between the keyframes; the rest see grey."""
BRIDGES, PULLED = 0.65, 0.35
"""Shares of the examples off the line to the source, and of those nearer to the answer at the keyframes' slots."""


class Wanted(NamedTuple):
    """The noise of examples and their right velocities, each ``(b, z, f, h, w)``."""

    noise: Tensor
    velocity: Tensor


def on_the_way(rows: dict[str, Tensor], estimated: Tensor) -> tuple[Tensor, Wanted, Tensor, Tensor]:
    """Draw states that edits pass through, and the right velocities there.

    An edit that began from the clip ``z_c`` is at ``z = (1 - s) z0 + s noise + lean (z_c - z0)``, with a lean that
    falls to zero with the level; at slots where a correction pulls, it is smaller. Examples that show an estimate,
    ``estimated (b,)``, start from the source at a low level.

    Returns:
        States, noise and velocities, levels ``(b,)``, and the weights of the errors.
    """
    z0, n, device = rows["z0"], len(rows["z0"]), rows["z0"].device
    sigma, lean = draw_levels(n, device, estimated)
    from_estimate = rows["estimated"] & ~estimated & (torch.rand(n, device=device) < 0.3)
    off = torch.where(column(from_estimate), rows["ze"], rows["zs"]) - z0
    marked = (rows["mask"].amax(1)[:, :, 0, 0] > 0) & ~estimated[:, None]
    marked &= torch.rand(n, 1, device=device) < PULLED
    pulled = torch.where(marked, torch.rand(n, z0.shape[2], device=device), 1.0)
    lean_at = column(lean) * pulled[:, None, :, None, None]
    noise, s = torch.randn_like(z0), column(sigma)
    state = (1 - s) * z0 + s * noise + lean_at * off
    wanted = noise - z0 + lean_at / s * off
    return state, Wanted(noise, wanted), sigma, 1 / (1 + (lean / sigma) ** 2)


def draw_levels(number: int, device: torch.device, estimated: Tensor) -> tuple[Tensor, Tensor]:
    """Draw noise levels in (0, 1), and how far each example leans towards the clip that its edit began from, in [0, 1].

    Both ``(n,)``; the lean is 0 on the line from noise to the answer. Examples that refine an estimate,
    ``estimated (n,)``, are mostly near their first step, at a low level.
    """
    even, high, kind, loose = (torch.rand(number, device=device) for _ in range(4))
    spread = (torch.arange(number, device=device) + torch.rand(number, device=device)) / number
    bridge = (kind < BRIDGES) & ~estimated
    sigma = torch.where(bridge, 0.02 + 0.96 * even, 2.5 * spread / (1 + 1.5 * spread))
    low = sigma.clamp(min=0.35)
    start = torch.where(bridge, low + (1 - low) * high, 1.0)
    first = 0.15 + 0.5 * high
    sigma = torch.where(estimated, first * torch.where(kind < 0.5, 1.0, even.sqrt()), sigma).clamp(min=5e-3)
    start = torch.where(estimated, first, start)
    lean = sigma * (1 - start) / start
    # Steps of a learned field do not keep to the way: half of the examples lie somewhere beside it.
    aside = bridge & (loose < 0.5)
    return sigma, torch.where(aside, lean * torch.rand(number, device=device) * 1.2, lean)


def shown_frames(
    rows: dict[str, Tensor], blank: Tensor, estimated: Tensor, *, images: bool, source: float = SOURCE
) -> Tensor:
    """Lay out what the image route shows: four mask channels and latents, ``(b, 4 + z, f, h, w)``.

    Args:
        rows: of a replay ring.
        blank: latents of a grey clip, shown without keyframe images.
        estimated: which examples show an estimate.
        images: whether keyframe images are shown.
        source: share of the examples that see the source between them.
    """
    z0 = rows["z0"]
    on_source = column(torch.rand(len(z0), device=z0.device) < source)
    if images:
        mask, latents = rows["mask"], torch.where(on_source, rows["own"], rows["grey"])
    else:
        mask, latents = torch.zeros_like(rows["mask"]), torch.where(on_source, rows["zs"], blank)
    plain = torch.cat([mask.expand(-1, -1, -1, *z0.shape[3:]), latents], dim=1)
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
