"""What a style is, and how it is put on a clip."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.tiny.textures import noise_field
from flowedit.tiny.world import SHAPES_MAX, Clip


@dataclass(frozen=True)
class Style:
    """Parameters of ``b`` styles, in the order in which they are applied; zero strengths do nothing.

    Attributes:
        recolour: ``(b, layers, 3, 3)`` colour matrix of each layer.
        matrix: ``(b, 3, 3)`` colour matrix of the picture.
        bias: ``(b, 3)`` added after it.
        gamma: ``(b,)`` exponent of the tone curve.
        levels: ``(b,)`` steps per channel, 0 for smooth tones.
        ink: ``(b,)`` strength of drawn lines.
        thick: ``(b,)`` widening of the lines, in pixels at 128x128.
        line: ``(b, 3)`` colour of lines and hatching.
        hatch: ``(b,)`` strength of hatching in the shadows.
        cross: ``(b,)`` 1 for a second direction of hatching.
        pitch: ``(b,)`` hatching lines across a unit of the screen.
        angle: ``(b,)`` their direction in radians.
        stuck: ``(b,)`` 1 where hatching and grain move with the surfaces, 0 where they stay on the screen.
        grain: ``(b,)`` strength of paper grain.
        paper: ``(b, S, S)`` the paper.
        glow: ``(b,)`` strength of the glow of bright parts.
        vignette: ``(b,)`` darkening of the corners.
        words: what to call each style.
    """

    recolour: Tensor
    matrix: Tensor
    bias: Tensor
    gamma: Tensor
    levels: Tensor
    ink: Tensor
    thick: Tensor
    line: Tensor
    hatch: Tensor
    cross: Tensor
    pitch: Tensor
    angle: Tensor
    stuck: Tensor
    grain: Tensor
    paper: Tensor
    glow: Tensor
    vignette: Tensor
    words: list[str]


def identity(g: torch.Generator, batch: int) -> Style:
    """Styles that change nothing.

    Args:
        g: draws the paper, which no clip sees as long as the grain is 0.
        batch: how many.

    Returns:
        The styles.
    """
    zero = torch.zeros(batch, device=g.device)
    eye = torch.eye(3, device=g.device)
    return Style(
        recolour=eye.repeat(batch, SHAPES_MAX + 1, 1, 1),
        matrix=eye.repeat(batch, 1, 1),
        bias=zero.unsqueeze(1).repeat(1, 3),
        gamma=zero + 1,
        levels=zero,
        ink=zero,
        thick=zero,
        line=zero.unsqueeze(1).repeat(1, 3),
        hatch=zero,
        cross=zero,
        pitch=zero + 20,
        angle=zero,
        stuck=zero,
        grain=zero,
        paper=noise_field(g, batch, 192, octaves=5, first=12),
        glow=zero,
        vignette=zero,
        words=["original"] * batch,
    )


def stylize(clip: Clip, style: Style) -> Tensor:
    """Put styles on clips.

    Args:
        clip: ``b`` clips.
        style: ``b`` styles.

    Returns:
        ``(b, T, 3, H, W)`` in [0, 1]: the truth of an edit to that style.
    """
    width = math.sqrt(clip.rgb.shape[-1] * clip.rgb.shape[-2]) / 128
    own = (
        style.recolour.gather(1, clip.ids.flatten(1)[:, :, None, None].expand(-1, -1, 3, 3)) if _any_local(style) else 0
    )
    rgb = clip.rgb
    if isinstance(own, Tensor):
        flat = rgb.permute(0, 1, 3, 4, 2).flatten(1, 3).unsqueeze(-1)
        rgb = (own @ flat).squeeze(-1).view(*rgb.shape[:2], *rgb.shape[3:], 3).permute(0, 1, 4, 2, 3).clamp(0, 1)
    rgb = torch.einsum("bij,btjhw->btihw", style.matrix, rgb - 0.5) + 0.5 + _column(style.bias)
    rgb = rgb.clamp(1e-4, 1) ** _column(style.gamma)
    rgb = _posterise(rgb, _column(style.levels))
    shadow = 1 - clip.rgb.mean(2, keepdim=True)
    at = _texture_points(clip, _column(style.stuck))
    strokes = _hatching(style, at) * (shadow * 1.6 - 0.45).clamp(0, 1) * _column(style.hatch)
    drawn = torch.maximum(_widened(clip.ink, style.thick, width) * _column(style.ink), strokes)
    rgb = rgb * (1 - drawn) + _column(style.line) * drawn
    rgb = rgb * (1 + _column(style.grain) * _grain(style.paper, at))
    rgb = rgb + _column(style.glow) * _blurred((rgb.clamp(0, 1) - 0.55).clamp(min=0), width)
    return (rgb * (1 - _column(style.vignette) * _corners(rgb))).clamp(0, 1)


def _any_local(style: Style) -> bool:
    """Whether any layer is recoloured."""
    return bool((style.recolour != torch.eye(3, device=style.recolour.device)).any())


def _column(value: Tensor) -> Tensor:
    """Give ``(b,)`` or ``(b, 3)`` the axes of a clip."""
    return value.view(len(value), 1, -1, 1, 1)


def _posterise(rgb: Tensor, levels: Tensor) -> Tensor:
    """Bring tones to a few steps, with edges a sixth of a step wide."""
    steps = (levels - 1).clamp(min=1)
    scaled = rgb * steps
    low = scaled.floor()
    return torch.where(levels > 0, (low + ((scaled - low - 0.5) * 6 + 0.5).clamp(0, 1)) / steps, rgb)


def _texture_points(clip: Clip, stuck: Tensor) -> Tensor:
    """Where hatching and grain are looked up: on the surface, or on the screen."""
    height, width = clip.rgb.shape[-2:]
    pixel = 2 / math.sqrt(height * width)
    y = (torch.arange(height, device=stuck.device) - (height - 1) / 2) * pixel
    x = (torch.arange(width, device=stuck.device) - (width - 1) / 2) * pixel
    screen = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    return torch.where(stuck > 0, clip.anchor, screen)


def _hatching(style: Style, at: Tensor) -> Tensor:
    """Parallel strokes, crossed or not, in [0, 1]."""
    total = torch.zeros_like(at[:, :, :1])
    for turn, on in ((0.0, torch.ones_like(style.cross)), (1.2, style.cross)):
        angle = style.angle + turn
        along = at[:, :, :1] * _column(angle.cos()) + at[:, :, 1:] * _column(angle.sin())
        stroke = ((along * _column(style.pitch * math.pi)).sin() * 2.2 - 0.7).clamp(0, 1)
        total = torch.maximum(total, stroke * _column(on))
    return total


def _grain(paper: Tensor, at: Tensor) -> Tensor:
    """Look the paper up, mirrored beyond its edge."""
    b, frames, _, height, width = at.shape
    grid = at.permute(0, 1, 3, 4, 2).reshape(b, frames * height, width, 2) / 1.4
    found = F.grid_sample(paper.unsqueeze(1), grid, padding_mode="reflection", align_corners=False)
    return found.view(b, frames, 1, height, width).clamp(-2, 2) / 2


def _widened(ink: Tensor, thick: Tensor, scale: float) -> Tensor:
    """Widen lines by whole and broken pixels: a blend of maxima over growing windows."""
    flat = ink.flatten(0, 1)
    steps = [flat]
    reach = math.ceil(float(thick.max()) * scale)
    for _ in range(reach):
        steps.append(F.max_pool2d(steps[-1], 3, stride=1, padding=1))
    stack = torch.stack([s.view_as(ink) for s in steps])
    wide = _column(thick * scale)
    weight = [(1 - (wide - k).abs()).clamp(0, 1) for k in range(len(steps))]
    return torch.stack([w * s for w, s in zip(weight, stack, strict=True)]).sum(0)


def _blurred(light: Tensor, scale: float) -> Tensor:
    """Blur by about five pixels at 128x128."""
    radius = max(1, round(4 * scale))
    flat = light.flatten(0, 1)
    for _ in range(3):
        for side, pad in (((1, 2 * radius + 1), (0, radius)), ((2 * radius + 1, 1), (radius, 0))):
            flat = F.avg_pool2d(flat, side, stride=1, padding=pad, count_include_pad=False)
    return flat.view_as(light)


def _corners(rgb: Tensor) -> Tensor:
    """Distance from the middle, 0 to 1 in the corners."""
    height, width = rgb.shape[-2:]
    y = torch.linspace(-1, 1, height, device=rgb.device).view(-1, 1)
    x = torch.linspace(-1, 1, width, device=rgb.device)
    return (x**2 + y**2) / 2
