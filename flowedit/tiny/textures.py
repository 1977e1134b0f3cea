"""Surfaces and outlines of the procedural world: what covers a shape, and where the shape ends."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PATTERNS = ("plain", "striped", "checkered", "dotted", "wavy", "noisy", "marbled", "gradient", "textured")
"""Kinds of surface, by index; the last is a piece of a photograph."""
OUTLINES = ("ball", "box", "triangle", "star", "hexagon", "cross", "gear", "blob", "oval", "flower", "ring", "crescent")
"""Kinds of shape, by index; all but the last two are given by a radius for each direction."""
HUES = {
    "red": (0.85, 0.12, 0.12),
    "orange": (0.95, 0.55, 0.1),
    "yellow": (0.93, 0.86, 0.15),
    "green": (0.15, 0.65, 0.2),
    "cyan": (0.12, 0.75, 0.8),
    "blue": (0.12, 0.25, 0.85),
    "purple": (0.5, 0.15, 0.75),
    "pink": (0.95, 0.45, 0.7),
    "brown": (0.45, 0.28, 0.13),
    "white": (0.93, 0.93, 0.92),
    "grey": (0.5, 0.5, 0.5),
    "black": (0.07, 0.07, 0.08),
}
"""Colours by name, RGB in [0, 1]."""
DIRECTIONS = 256
"""Entries of an outline's table."""


def uniform(g: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw uniform numbers on the generator's device.

    Args:
        g: the generator.
        shape: of the result.
        low: lower bound.
        high: upper bound.

    Returns:
        A float32 tensor.
    """
    return torch.rand(*shape, generator=g, device=g.device) * (high - low) + low


def pick(g: torch.Generator, count: int, *shape: int) -> Tensor:
    """Draw integers from 0 to ``count - 1`` on the generator's device.

    Args:
        g: the generator.
        count: number of choices.
        shape: of the result.

    Returns:
        An int64 tensor.
    """
    return torch.randint(0, count, shape, generator=g, device=g.device)


def named_colours(g: torch.Generator, number: int) -> tuple[Tensor, Tensor]:
    """Draw colours near the named ones.

    Args:
        g: the generator.
        number: how many.

    Returns:
        Colours ``(number, 3)`` in [0, 1], and the index of each one's name.
    """
    table = torch.tensor(list(HUES.values()), device=g.device)
    index = pick(g, len(table), number)
    return (table[index] + uniform(g, number, 3, low=-0.13, high=0.13)).clamp(0, 1), index


def noise_field(g: torch.Generator, number: int, size: int, octaves: int = 5, first: int = 3) -> Tensor:
    """Draw smooth random fields of many scales.

    Args:
        g: the generator.
        number: how many fields.
        size: side in texels.
        octaves: scales, each twice as fine and about 0.65 as strong as the one before.
        first: cells across the coarsest scale.

    Returns:
        ``(number, size, size)`` with zero mean and about unit deviation.
    """
    total = torch.zeros(number, 1, size, size, device=g.device)
    fall = uniform(g, number, 1, 1, 1, low=0.45, high=0.8)
    for octave in range(octaves):
        cells = min(first * 2**octave, size)
        grid = torch.randn(number, 1, cells, cells, generator=g, device=g.device)
        total += F.interpolate(grid, size=(size, size), mode="bicubic", align_corners=False) * fall**octave
    total -= total.mean((2, 3), keepdim=True)
    return (total / (total.std((2, 3), keepdim=True) + 1e-6)).squeeze(1)


def surfaces(
    g: torch.Generator, kinds: Tensor, size: int, photos: Tensor | None = None, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Paint square surfaces.

    Args:
        g: the generator.
        kinds: ``(n,)`` indices of :data:`PATTERNS`.
        size: side in texels.
        photos: ``(n, 3, size, size)`` pieces of photographs for the last kind; without them it is painted as noise.
        scale: how fine the patterns are, 1 for about three to seven periods across.

    Returns:
        Surfaces ``(n, 4, size, size)``: RGB in [0, 1] and the strength of lines, and the index of each first colour's
        name.
    """
    n, device = len(kinds), g.device
    axis = torch.linspace(-1, 1, size, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle = uniform(g, n, 1, 1, high=math.tau)
    a = (x * angle.cos() + y * angle.sin()) * scale
    b = (-x * angle.sin() + y * angle.cos()) * scale
    noise = noise_field(g, n, size)
    f = uniform(g, n, 1, 1, low=4, high=11)
    hard = uniform(g, n, 1, 1, low=2.0, high=9.0)
    waves = torch.stack(
        [
            torch.ones_like(noise),
            (a * f).sin() * hard,
            (a * f).sin() * (b * f).sin() * hard * 1.5,
            ((a * f).cos() + (b * f).cos() - uniform(g, n, 1, 1, low=0.2, high=1.2)) * hard,
            (a * f + (b * f * 0.7).sin() * 1.5).sin() * hard,
            noise,
            (a * f * 0.6 + noise * 1.2).sin() * 2,
            a * 1.2 / scale,
            noise * 1.3,
        ]
    )
    wave = waves.gather(0, kinds.view(1, n, 1, 1).expand(1, n, size, size)).squeeze(0)
    mix = (wave.clamp(-1, 1) * 0.5 + 0.5).unsqueeze(1)
    first, names = named_colours(g, n)
    second = (first + torch.randn(n, 3, generator=g, device=device) * 0.35).clamp(0.02, 0.98)
    rgb = first[:, :, None, None] * mix + second[:, :, None, None] * (1 - mix)
    rgb = (rgb * (1 + noise.unsqueeze(1) * uniform(g, n, 1, 1, 1, low=0.0, high=0.12))).clamp(0, 1)
    if photos is not None:
        rgb = torch.where((kinds == len(PATTERNS) - 1).view(n, 1, 1, 1), photos, rgb)
    return torch.cat([rgb, lines(rgb)], dim=1), names


def lines(rgb: Tensor) -> Tensor:
    """Find the lines that an artist would ink: strong changes of lightness.

    Args:
        rgb: ``(n, 3, H, W)`` in [0, 1].

    Returns:
        ``(n, 1, H, W)`` in [0, 1].
    """
    light = rgb.mean(1, keepdim=True)
    light = F.avg_pool2d(F.pad(light, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    dx = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    dy = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return ((dx**2 + dy**2 + 1e-8).sqrt() * 5 - 0.55).clamp(0, 1)


def outlines(g: torch.Generator, kinds: Tensor) -> Tensor:
    """Tabulate the radius of shapes by direction.

    Args:
        g: the generator, for the blobs.
        kinds: ``(n,)`` indices of :data:`OUTLINES`.

    Returns:
        ``(n, 2, DIRECTIONS)``: the radius, at most about 1, and the cosine that turns a radial into a true distance.
    """
    n = len(kinds)
    theta = torch.linspace(-math.pi, math.pi, DIRECTIONS, device=g.device)
    phases = uniform(g, n, 3, 1, high=math.tau)
    sizes = uniform(g, n, 3, 1, low=0.03, high=0.16)
    blob = 0.85 + sum(sizes[:, k] * ((k + 2) * theta + phases[:, k]).sin() for k in range(3))
    ball = torch.ones_like(theta)
    table = [
        ball,
        0.85 / torch.maximum(theta.cos().abs(), theta.sin().abs()),
        _polygon(theta, 3) * 1.1,
        1 / (1 + 1.3 * _zigzag(theta, 5)),
        _polygon(theta, 6),
        1 / (1 + 1.9 * _zigzag(theta, 4) ** 0.6),
        0.88 + 0.13 * ((8 * theta).sin() * 3).tanh(),
        blob,
        0.55 / ((0.55 * theta.cos()) ** 2 + theta.sin() ** 2).sqrt(),
        0.78 + 0.22 * (5 * theta).cos(),
        ball,
        ball,
    ]
    every = torch.stack([row.expand(n, DIRECTIONS) for row in table], dim=1)
    radius = every.gather(1, kinds.view(n, 1, 1).expand(n, 1, DIRECTIONS)).squeeze(1).clamp(0.15, 1.3)
    slope = (radius.roll(-1, 1) - radius.roll(1, 1)) / (2 * math.tau / (DIRECTIONS - 1))
    return torch.stack([radius, 1 / (1 + (slope / radius) ** 2).sqrt()], dim=1)


def distance(table: Tensor, kinds: Tensor, local: Tensor) -> Tensor:
    """Signed distance from points to the edge of a shape, negative inside.

    Args:
        table: ``(b, 2, DIRECTIONS)`` of :func:`outlines`.
        kinds: ``(b,)`` indices of :data:`OUTLINES`.
        local: ``(b, n, 2)`` points in the shape's own coordinates, where its radius is about 1.

    Returns:
        ``(b, n)``, in the shape's own units.
    """
    x, y = local.unbind(-1)
    rho = (x**2 + y**2 + 1e-9).sqrt()
    at = torch.stack([torch.atan2(y, x) / math.pi, torch.zeros_like(x)], dim=-1)
    found = F.grid_sample(table.unsqueeze(2), at.unsqueeze(1), align_corners=True, padding_mode="border").squeeze(2)
    star = (rho - found[:, 0]) * found[:, 1]
    ring = (rho - 0.76).abs() - 0.23
    bite = 0.9 - ((x - 0.55) ** 2 + y**2 + 1e-9).sqrt()
    kind = kinds.view(-1, 1)
    star = torch.where(kind == len(OUTLINES) - 2, ring, star)
    return torch.where(kind == len(OUTLINES) - 1, torch.maximum(rho - 1, bite), star)


def _polygon(theta: Tensor, sides: int) -> Tensor:
    """Radius of a regular polygon."""
    step = math.tau / sides
    return math.cos(step / 2) / (torch.remainder(theta, step) - step / 2).cos()


def _zigzag(theta: Tensor, points: int) -> Tensor:
    """Zero at the tips of a star, one in its notches, straight between."""
    return (torch.remainder(theta * points / math.tau, 1.0) * 2 - 1).abs().neg() + 1
