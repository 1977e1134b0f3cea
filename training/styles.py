"""Styles without end, beside the families of :mod:`training.families`: each clip has its own random functions.

Whatever is drawn here depends on colours, their surroundings and the surface seen, the same way in every frame, so the
answer of an edit is known. All of it is drawn and applied on the generator's device.
"""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.tiny.textures import noise_field, pick, uniform
from flowedit.tiny.world import Clip, screen_points

Change = Callable[[torch.Generator, Tensor, Clip], Tensor]
"""(generator, frames ``(b, T, 3, H, W)`` in [0, 1], the clip they show) -> frames in a changed look."""


def restyle(g: torch.Generator, rng: random.Random, rgb: Tensor, clip: Clip) -> Tensor:
    """Change the look of clips by one to three random functions, each clip by its own.

    Args:
        g: the source of randomness.
        rng: chooses the kinds of function.
        rgb: ``(b, T, 3, H, W)`` in [0, 1].
        clip: what they show.

    Returns:
        The same shape.
    """
    for change in rng.sample(CHANGES, rng.choice((1, 1, 2, 3))):
        amount = uniform(g, len(rgb), 1, 1, 1, 1, low=0.35, high=1.0) * (uniform(g, len(rgb), 1, 1, 1, 1) < 0.8)
        rgb = torch.lerp(rgb, change(g, rgb, clip).clamp(0, 1), amount)
    return rgb


def colour_network(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """Colours through a small random network, which also sees how bright their surroundings are."""
    del clip
    b, t, _, h, w = rgb.shape
    near = blur(rgb.mean(2, keepdim=True), 3)
    x = (torch.cat([rgb, near], dim=2) * 2 - 1).transpose(1, 2).flatten(2)
    bold = uniform(g, b, 1, 1, low=0.5, high=2.5)
    first, second = _randn(g, b, 14, 4) * bold, _randn(g, b, 3, 14) * uniform(g, b, 1, 1, low=0.15, high=0.6)
    out = second @ (first @ x + 2 * _randn(g, b, 14, 1)).sin() + 0.5 * _randn(g, b, 3, 1)
    return (0.5 + 0.5 * out.tanh()).unflatten(2, (t, h, w)).transpose(1, 2)


def colour_table(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """Colours looked up in a coarse random table of three dimensions, near the one that changes nothing."""
    del clip
    b, side = len(rgb), 4
    axis = torch.linspace(0, 1, side, device=g.device)
    plain = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).flip(0)
    table = plain + _randn(g, b, 3, side, side, side) * uniform(g, b, 1, 1, 1, 1, low=0.05, high=0.35)
    at = (rgb * 2 - 1).permute(0, 1, 3, 4, 2).reshape(b, 1, 1, -1, 3)
    found = F.grid_sample(table, at, align_corners=True, padding_mode="border")
    return found.view(b, 3, *rgb.shape[1:2], *rgb.shape[3:]).transpose(1, 2)


def filters(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """Two layers of random 3x3 filters without a mean: edges, relief, sharpening, added to the picture."""
    del clip
    b, hidden = len(rgb), 5
    first, second = _randn(g, b * hidden, 3, 3, 3) * 0.5, _randn(g, b * 3, hidden, 3, 3) * 0.15
    first = first - first.mean((2, 3), keepdim=True)
    x = F.pad(rgb.transpose(0, 1).flatten(1, 2), (2, 2, 2, 2), mode="replicate")
    x = F.conv2d(F.conv2d(x, first, groups=b).abs(), second, groups=b)
    return rgb + x.tanh().unflatten(1, (b, 3)).transpose(0, 1)


def palette(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """The nearest of a few colours, each drawn as another one; now and then with an ordered pattern between them."""
    del clip
    b, number = len(rgb), int(pick(g, 7, 1)) + 3
    seen = uniform(g, b, number, 3)
    drawn = torch.lerp(seen, uniform(g, b, number, 3), uniform(g, b, 1, 1))
    y, x = (torch.arange(side, device=g.device) // 2 for side in rgb.shape[3:])
    board = ((y.view(-1, 1) + x) % 2 - 0.5) * 0.35 * (uniform(g, b, 1, 1, 1, 1) < 0.3)
    flat = (rgb + board).permute(0, 1, 3, 4, 2).flatten(1, 3)
    near = (-torch.cdist(flat, seen).square() * uniform(g, b, 1, 1, low=60, high=300)).softmax(-1)
    return (near @ drawn).unflatten(1, (rgb.shape[1], *rgb.shape[3:])).permute(0, 1, 4, 2, 3)


def strokes(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """Hatching whose direction wanders, wider where it is dark, in one colour, on surfaces or on the screen."""
    at, b = texture_points(g, clip), len(rgb)
    wander = _look_up(noise_field(g, b, 96, octaves=2), at * 0.5)
    angle = uniform(g, b, 1, 1, 1, 1, high=math.tau) + wander * uniform(g, b, 1, 1, 1, 1, high=0.25)
    along = at[:, :, :1] * angle.cos() + at[:, :, 1:] * angle.sin()
    wave = (along * uniform(g, b, 1, 1, 1, 1, low=18, high=70)).sin()
    dark = 1 - rgb.mean(2, keepdim=True)
    mark = ((wave + 2 * dark - uniform(g, b, 1, 1, 1, 1, low=1.0, high=1.8)) * 2.5).clamp(0, 1)
    return torch.lerp(rgb, _colour(g, b), mark * uniform(g, b, 1, 1, 1, 1, low=0.4, high=1.0))


def texture(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """A full-frame texture, coarse or fine, grey or coloured: paper, canvas, dirt."""
    at, b = texture_points(g, clip), len(rgb)
    first = int(pick(g, 20, 1)) + 4
    noise = _look_up(noise_field(g, b, 256, octaves=4, first=first), at / 1.4)
    weave = (at * uniform(g, b, 1, 1, 1, 1, low=25, high=70)).sin().sum(2, keepdim=True) * (
        uniform(g, b, 1, 1, 1, 1) < 0.3
    )
    tint = torch.lerp(torch.ones(b, 1, 3, 1, 1, device=g.device), _randn(g, b, 1, 3, 1, 1), uniform(g, b, 1, 1, 1, 1))
    return rgb + (noise + 0.5 * weave) * tint * uniform(g, b, 1, 1, 1, 1, low=0.04, high=0.2)


def paint(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """Flat patches with kept edges: of four windows at each pixel, the mean of the one that varies least (Kuwahara)."""
    del clip
    r, flat = int(pick(g, 3, 1)) + 1, rgb.flatten(0, 1)
    padded = F.pad(flat, (r, r, r, r), mode="replicate")
    mean, square = F.avg_pool2d(padded, r + 1, 1), F.avg_pool2d(padded.square(), r + 1, 1)
    spread = (square - mean.square()).sum(1, keepdim=True)
    h, w = flat.shape[2:]
    corners = [(slice(i, i + h), slice(j, j + w)) for i in (0, r) for j in (0, r)]
    means = torch.stack([mean[:, :, i, j] for i, j in corners])
    least = torch.stack([spread[:, :, i, j] for i, j in corners]).argmin(0, keepdim=True)
    return means.gather(0, least.expand(1, -1, 3, -1, -1))[0].view_as(rgb)


def outline(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """Lines in one colour where brightness changes, or where the world has ink."""
    light, b = rgb.mean(2, keepdim=True), len(rgb)
    narrow, wide = blur(light, 1), blur(light, int(pick(g, 3, 1)) + 2)
    line = ((wide - narrow) * uniform(g, b, 1, 1, 1, 1, low=6, high=25) - 0.3).clamp(0, 1)
    line = torch.maximum(line, clip.ink * (uniform(g, b, 1, 1, 1, 1) < 0.5))
    return torch.lerp(rgb, _colour(g, b), line)


def soften(g: torch.Generator, rgb: Tensor, clip: Clip) -> Tensor:
    """A blur, or its opposite."""
    del clip
    return rgb + (blur(rgb, int(pick(g, 4, 1)) + 1) - rgb) * uniform(g, len(rgb), 1, 1, 1, 1, low=-1.5, high=1.0)


CHANGES: list[Change] = [
    colour_network,
    colour_network,
    colour_table,
    colour_table,
    filters,
    palette,
    strokes,
    texture,
    paint,
    outline,
    soften,
]
"""The kinds of function; colours are changed twice as often."""


def blur(video: Tensor, radius: int) -> Tensor:
    """Mean over a square window of ``2 radius + 1`` pixels, of ``(b, T, c, H, W)``."""
    flat = video.flatten(0, 1)
    return F.avg_pool2d(flat, 2 * radius + 1, 1, radius, count_include_pad=False).view_as(video)


def texture_points(g: torch.Generator, clip: Clip) -> Tensor:
    """Where textures are looked up, ``(b, T, 2, H, W)``: in half of the clips on the surface, else on the screen."""
    b, (height, width) = len(clip.rgb), clip.rgb.shape[-2:]
    screen = screen_points(height, width, g.device).T.reshape(2, height, width)
    return torch.where(uniform(g, b, 1, 1, 1, 1) < 0.5, clip.anchor, screen)


def _look_up(field: Tensor, at: Tensor) -> Tensor:
    """Sample fields ``(b, s, s)`` at ``(b, T, 2, H, W)``, mirrored beyond their border: ``(b, T, 1, H, W)``."""
    b, t, _, h, w = at.shape
    grid = at.permute(0, 1, 3, 4, 2).reshape(b, t * h, w, 2)
    return F.grid_sample(field.unsqueeze(1), grid, padding_mode="reflection", align_corners=False).view(b, t, 1, h, w)


def _colour(g: torch.Generator, number: int) -> Tensor:
    """Random colours with the axes of clips, mostly dark."""
    return uniform(g, number, 1, 3, 1, 1) ** uniform(g, number, 1, 1, 1, 1, low=0.5, high=4.0)


def _randn(g: torch.Generator, *shape: int) -> Tensor:
    """Normal numbers on the generator's device."""
    return torch.randn(*shape, generator=g, device=g.device)


def keyframe_errors(g: torch.Generator, video: Tensor, ink: Tensor, share: float = 0.5) -> Tensor:
    """Give each frame of some clips errors of its own, as image models do.

    From none to about one and a half times those of the benchmark's disagreeing keyframes: mixed colours, contrast,
    tint, line weight; and beside these one or two pixels of drift, lost or sharpened detail, and detail made up.

    Args:
        g: the source of randomness.
        video: ``(b, T, 3, H, W)`` in [0, 1].
        ink: where lines are, ``(b, T, 1, H, W)`` in [0, 1].
        share: of the clips that are affected.

    Returns:
        The same shape as the video.
    """
    b, t = video.shape[:2]
    size = uniform(g, b, 1, 1, 1, 1, high=2.0) * (uniform(g, b, 1, 1, 1, 1) < share)
    drifts = uniform(g, b, 1, 1, 1, 1) < 0.5
    video = _drifted(g, video, 0.6 * size * drifts)
    mix = torch.eye(3, device=g.device) + 0.04 * size[:, :, 0] * _randn(g, b, t, 3, 3)
    mix = mix * (1 + 0.08 * size[:, :, 0] * _randn(g, b, t, 1, 1))
    offset = size * (0.025 * _randn(g, b, t, 3, 1, 1) + 0.02 * _randn(g, b, t, 1, 1, 1))
    video = torch.einsum("btij,btjhw->btihw", mix, video - 0.5) + 0.5 + offset
    video = video - 0.1 * size * _randn(g, b, t, 1, 1, 1) * ink
    video = video + (blur(video, 1) - video) * (0.3 * size * drifts * _randn(g, b, t, 1, 1, 1)).clamp(-0.8, 1)
    made_up = noise_field(g, b * t, 64, octaves=3, first=8).view(b, t, 64, 64)
    made_up = F.interpolate(made_up, size=video.shape[3:], mode="bilinear").unsqueeze(2)
    return (video + 0.015 * size * drifts * made_up).clamp(0, 1)


def _drifted(g: torch.Generator, video: Tensor, pixels: Tensor) -> Tensor:
    """Shift and bend each frame by so many pixels."""
    b, t, _, h, w = video.shape
    bend = F.interpolate(_randn(g, b * t, 2, 4, 4), size=(h, w), mode="bicubic", align_corners=True).view(b, t, 2, h, w)
    flow = (_randn(g, b, t, 2, 1, 1) + 0.7 * bend) * pixels
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, h, device=g.device), torch.linspace(-1, 1, w, device=g.device), indexing="ij"
    )
    scale = torch.tensor([2 / (w - 1), 2 / (h - 1)], device=g.device).view(2, 1, 1)
    grid = (torch.stack([x, y]) + flow * scale).flatten(0, 1).permute(0, 2, 3, 1)
    flat = F.grid_sample(video.flatten(0, 1), grid, padding_mode="border", align_corners=True)
    return flat.view_as(video)
