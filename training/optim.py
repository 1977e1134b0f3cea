"""The optimiser of both trainings, the average of the weights that is shipped, and the learning rate."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

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

    Updates have the root mean square of AdamW's (0.2), so one learning rate serves both. PyTorch's own Muon takes no
    convolutions. Source: Liu et al., "Muon is scalable for LLM training", 2025.
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
        self.groups: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        self.parameters, rest = [], []
        for name, p in named:
            self.parameters.append(p)
            matrix = p.dim() > 1 and not any(part in name for part in plain)
            (self.groups[p.shape[0], p.numel() // p.shape[0]] if matrix else rest).append(p)
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=0.0, foreach=True)
        self.momentum = {key: torch.zeros(len(g), *key, device=g[0].device) for key, g in self.groups.items()}
        self.decay = decay

    @torch.no_grad()
    def step(self, lr: float, clip: float = 1.0) -> Tensor:
        """Clip the gradients, update, and clear them.

        Args:
            lr: learning rate.
            clip: largest norm of the gradient.

        Returns:
            The gradient's norm before clipping; entries that are not finite count as zero.
        """
        norm = clip_gradients(self.parameters, clip)
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        for key, group in self.groups.items():
            gradient = torch.stack([p.grad.reshape(key) for p in group if p.grad is not None])
            momentum = self.momentum[key].mul_(0.95).add_(gradient)
            update = orthogonalise(gradient.add(momentum, alpha=0.95)).float() * (0.2 * math.sqrt(max(key)))
            for p, u in zip(group, update, strict=True):
                p.mul_(1.0 - lr * self.decay).add_(u.view_as(p), alpha=-lr)
        for p in self.parameters:
            p.grad = None
        return norm

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"adam": self.adam.state_dict(), "momentum": list(self.momentum.values())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.adam.load_state_dict(state["adam"])
        for own, saved in zip(self.momentum.values(), state["momentum"], strict=True):
            own.copy_(saved)


def clip_gradients(parameters: list[nn.Parameter], clip: float) -> Tensor:
    """Drop what is not finite and clip the norm; nothing here waits for the device.

    Args:
        parameters: one without a gradient counts as zero.
        clip: largest norm.

    Returns:
        The norm before clipping.
    """
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    norm = flat.nan_to_num_(0.0, 0.0, 0.0).norm()
    flat *= (clip / (norm + 1e-6)).clamp(max=1.0)
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p)
    return norm


def moving_average(module: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a module's weights, the version that is shipped; faster in the first steps."""

    def approach(average: Any, current: Any, seen: Any) -> None:  # noqa: ANN401 - lists of tensors, a tensor or int
        for one, now in zip(average, current, strict=True):
            one.lerp_(now, 1 - ((1 + seen) / (10 + seen)).clamp(max=decay))

    return AveragedModel(module, multi_avg_fn=torch.no_grad()(approach)).requires_grad_(requires_grad=False)


def learning_rate(peak: float, progress: float, *, step: int, warmup: int = 100) -> float:
    """Warm up over steps, hold, then fall to zero along a line over the second half of the time.

    Args:
        peak: highest rate.
        progress: share of the run's time that is over, 0 to 1.
        step: steps done.
        warmup: steps of linear warm-up.
    """
    return peak * min(1.0, (step + 1) / warmup, 2 * max(1 - progress, 0.0))
