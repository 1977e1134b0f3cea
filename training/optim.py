"""Optimiser, weight average and learning rate of the training runs."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_NEWTON = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values of some matrices near one, by Newton-Schulz iteration.

    Args:
        matrices: ``(n, rows, columns)``.
        steps: iterations; five are enough for an optimiser's purpose.

    Returns:
        The same shape, in bfloat16 on a GPU. Source: Jordan et al., "Muon", 2024.
    """
    a, b, c = _NEWTON
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon:
    """Orthogonalised momentum for weight matrices and convolutions, AdamW for everything else.

    Updates have the root mean square of AdamW's (0.2), so one learning rate serves both. Source: Liu et al., "Muon is
    scalable for LLM training", 2025.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], *, plain: tuple[str, ...] = (), decay: float = 0.0
    ) -> None:
        """Sort the parameters.

        Args:
            named: names and parameters.
            plain: parts of names whose matrices go to AdamW too (first and last layers, embeddings).
            decay: decoupled weight decay of the matrices, times the learning rate.
        """
        named = [(name, p) for name, p in named if p.requires_grad]
        matrix = [p for name, p in named if p.dim() > 1 and not any(part in name for part in plain)]
        chosen = {id(p) for p in matrix}
        self.rest = [p for _, p in named if id(p) not in chosen]
        self.adam = torch.optim.AdamW(self.rest, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0, foreach=True)
        self.groups: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        for p in matrix:
            self.groups[(p.shape[0], p.numel() // p.shape[0])].append(p)
        self.momentum = {key: torch.zeros(len(g), *key, device=g[0].device) for key, g in self.groups.items()}
        self.decay = decay
        self.parameters = [p for _, p in named]

    @torch.no_grad()
    def step(self, lr: float, clip: float = 1.0) -> Tensor:
        """Average gradients over the processes, clip, update, and clear them.

        Args:
            lr: learning rate.
            clip: largest norm of the gradient.

        Returns:
            The gradient's norm before clipping; entries that are not finite count as zero.
        """
        norm = average_gradients(self.parameters, clip)
        self._update(lr)
        for p in self.parameters:
            p.grad = None
        return norm

    def _update(self, lr: float) -> None:
        """Apply both rules."""
        for group in self.adam.param_groups:
            group["lr"] = lr
        self.adam.step()
        for key, group in self.groups.items():
            gradient = torch.stack([p.grad.reshape(key) for p in group if p.grad is not None])
            momentum = self.momentum[key].mul_(0.95).add_(gradient)
            update = orthogonalise(gradient.add(momentum, alpha=0.95)).float() * (0.2 * math.sqrt(max(key)))
            for p, u in zip(group, update, strict=True):
                p.mul_(1.0 - lr * self.decay).add_(u.view_as(p), alpha=-lr)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"adam": self.adam.state_dict(), "momentum": {f"{m}x{n}": v for (m, n), v in self.momentum.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.adam.load_state_dict(state["adam"])
        for (m, n), value in self.momentum.items():
            value.copy_(state["momentum"][f"{m}x{n}"])


def average_gradients(parameters: list[nn.Parameter], clip: float) -> Tensor:
    """Average gradients over all processes in one message, drop what is not finite, and clip the norm.

    Nothing here waits for the device.

    Args:
        parameters: the same list in every process; a parameter without a gradient counts as zero.
        clip: largest norm.

    Returns:
        The norm before clipping.
    """
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.reshape(-1) for p in parameters])
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
    flat.nan_to_num_(0.0, 0.0, 0.0)
    norm = flat.norm()
    flat *= (clip / (norm + 1e-6)).clamp(max=1.0)
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p)
    return norm


class Average:
    """Exponential moving average of weights, the version that is shipped."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start from the module's weights."""
        self.decay, self.module, self.seen = decay, module, 0
        self.shadow = {name: p.detach().clone().float() for name, p in module.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the module's weights, faster in the first steps."""
        self.seen += 1
        decay = min(self.decay, (1 + self.seen) / (10 + self.seen))
        current = self.module.state_dict()
        for name, value in self.shadow.items():
            value.lerp_(current[name].float(), 1 - decay)


def learning_rate(peak: float, progress: float, *, step: int, warmup: int = 100, floor: float = 0.0) -> float:
    """Warm up over steps, hold, then fall to the floor over the last 60 percent of the time.

    Args:
        peak: highest rate.
        progress: share of the run's time that is over, 0 to 1.
        step: steps done.
        warmup: steps of linear warm-up.
        floor: last rate, as a share of the peak.

    Returns:
        The rate.
    """
    fall = min(max((progress - 0.4) / 0.6, 0.0), 1.0)
    share = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fall))
    return peak * min(1.0, (step + 1) / warmup) * share
