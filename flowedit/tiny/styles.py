"""Styles: deterministic looks put on every frame of a clip, so that the exact answer of an edit is known."""

import math
from dataclasses import dataclass, fields, replace
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.errors import SettingError
from flowedit.tiny.looks import LOOKS
from flowedit.tiny.splits import SHARES, Split
from flowedit.tiny.textures import noise_field, uniform
from flowedit.tiny.world import SHAPES_MAX, Clip


class Family(StrEnum):
    """What a style changes; the benchmark reports each apart."""

    GLOBAL = "global colour"
    TONE = "tone and posterise"
    EDGES = "edges and hatching"
    TEXTURE = "texture and glow"
    LOCAL = "local recolour"
    GEOMETRY = "thick outlines"


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


def sample(g: torch.Generator, batch: int, split: Split = Split.TRAIN, family: Family | None = None) -> Style:
    """Draw random styles of a split.

    The split keeps an interval of a style key to itself; the key turns the colours and the hatching, so no colour
    matrix and no hatching direction of validation or test is seen in training.

    Args:
        g: the only source of randomness.
        batch: how many.
        split: whose interval of keys is used.
        family: change only what belongs to this family; without it, every mix, the original look and the named looks
            of :mod:`flowedit.tiny.looks` are drawn.

    Returns:
        The styles.
    """
    base = identity(g, batch)
    low, high = SHARES[split].keys
    key = uniform(g, batch, low=low, high=high)
    drawn = {
        Family.GLOBAL: _global(g, base, key),
        Family.TONE: _tone(g, base),
        Family.EDGES: _edges(g, base, key),
        Family.TEXTURE: _texture(g, base),
        Family.LOCAL: _local(g, base, key),
        Family.GEOMETRY: _geometry(g, base),
    }
    if family is not None:
        return _merge(base, {family: drawn[family]}, dict.fromkeys(drawn, torch.ones(batch, device=g.device) > 0))
    shares = dict(zip(drawn, (0.6, 0.45, 0.4, 0.3, 0.3, 0.15), strict=True))
    on = {name: uniform(g, batch) < share for name, share in shares.items()}
    plain = uniform(g, batch) < 0.25
    mixed = _merge(base, drawn, {name: chosen & ~plain for name, chosen in on.items()})
    return _with_looks(g, mixed, uniform(g, batch) < 0.25)


def look(name: str, g: torch.Generator, batch: int = 1) -> Style:
    """Build a named look.

    Args:
        name: one of :data:`flowedit.tiny.looks.LOOKS`.
        g: draws the paper.
        batch: how many copies.

    Returns:
        The style.

    Raises:
        SettingError: there is no such look.
    """
    if name not in LOOKS:
        raise SettingError(f"There is no look {name!r}. Looks: {', '.join(LOOKS)}.")
    return _with_looks(g, identity(g, batch), torch.ones(batch, device=g.device) > 0, [name] * batch)


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


def select(style: Style, index: Tensor | slice) -> Style:
    """Take some of the styles.

    Args:
        style: many.
        index: which, as for a tensor's first axis.

    Returns:
        The chosen ones.
    """
    rows = list(range(len(style.words)))
    chosen = rows[index] if isinstance(index, slice) else index.tolist()
    parts = {f.name: getattr(style, f.name)[index] for f in fields(style) if f.name != "words"}
    return Style(**parts, words=[style.words[i] for i in chosen])


def _global(g: torch.Generator, base: Style, key: Tensor) -> Style:
    """Random colour matrix of the whole picture, turned in hue by the key."""
    n = len(key)
    random = torch.randn(n, 3, 3, generator=g, device=g.device) * 0.5
    random = random / random.abs().sum(2, keepdim=True) * uniform(g, n, 1, 1, low=0.9, high=1.4)
    mix = uniform(g, n, 1, 1, low=0.25, high=1.0)
    matrix = hue_turn(key * math.tau) @ (torch.eye(3, device=g.device) * (1 - mix) + random * mix)
    return replace(base, matrix=matrix, bias=torch.randn(n, 3, generator=g, device=g.device) * 0.12)


def _tone(g: torch.Generator, base: Style) -> Style:
    """Random tone curve, posterised in three of five cases."""
    n = len(base.gamma)
    levels = torch.randint(3, 8, (n,), generator=g, device=g.device) * (uniform(g, n) < 0.6)
    return replace(base, gamma=torch.exp(uniform(g, n, low=-0.7, high=0.7)), levels=levels.float())


def _edges(g: torch.Generator, base: Style, key: Tensor) -> Style:
    """Random lines, hatching, or both."""
    n = len(key)
    which = uniform(g, n)
    return replace(
        base,
        ink=uniform(g, n, low=0.5, high=1.0) * (which < 0.75),
        thick=uniform(g, n, high=0.6),
        line=_line_colour(g, n),
        hatch=uniform(g, n, low=0.4, high=0.9) * (which > 0.5),
        cross=(uniform(g, n) < 0.4).float(),
        pitch=uniform(g, n, low=9, high=22),
        angle=key * math.pi,
        stuck=(uniform(g, n) < 0.5).float(),
    )


def _texture(g: torch.Generator, base: Style) -> Style:
    """Random paper, glow, or both, now and then a vignette."""
    n = len(base.gamma)
    which = uniform(g, n)
    return replace(
        base,
        grain=uniform(g, n, low=0.08, high=0.3) * (which < 0.65),
        glow=uniform(g, n, low=0.4, high=1.6) * (which > 0.45),
        stuck=(uniform(g, n) < 0.5).float(),
        vignette=uniform(g, n, high=0.6) * (uniform(g, n) < 0.3),
    )


def _local(g: torch.Generator, base: Style, key: Tensor) -> Style:
    """Another colour for some of the layers."""
    n, layers = base.recolour.shape[:2]
    turn = torch.remainder(key.unsqueeze(1) + torch.randn(n, layers, generator=g, device=g.device) * 0.05, 1.0)
    chosen = (uniform(g, n, layers) < 0.55).unsqueeze(-1).unsqueeze(-1)
    new = hue_turn(turn.flatten() * math.tau).unflatten(0, (n, layers)) * uniform(g, n, layers, 1, 1, low=0.7, high=1.2)
    return replace(base, recolour=torch.where(chosen, new, base.recolour))


def _geometry(g: torch.Generator, base: Style) -> Style:
    """Lines thick enough to change the shapes."""
    n = len(base.gamma)
    return replace(
        base,
        ink=uniform(g, n, low=0.8, high=1.0),
        thick=uniform(g, n, low=1.0, high=2.6),
        line=_line_colour(g, n),
    )


_WORDS = {
    Family.GLOBAL: "tinted",
    Family.TONE: "contrast",
    Family.EDGES: "thin",
    Family.TEXTURE: "soft",
    Family.LOCAL: "recoloured",
    Family.GEOMETRY: "thick",
}
_OWN = {
    Family.GLOBAL: ("matrix", "bias"),
    Family.TONE: ("gamma", "levels"),
    Family.EDGES: ("ink", "thick", "line", "hatch", "cross", "pitch", "angle", "stuck"),
    Family.TEXTURE: ("grain", "glow", "vignette"),
    Family.LOCAL: ("recolour",),
    Family.GEOMETRY: ("ink", "thick", "line"),
}


def _merge(base: Style, drawn: dict[Family, Style], on: dict[Family, Tensor]) -> Style:
    """Take from each family what is its own, where it is switched on."""
    parts = {f.name: getattr(base, f.name) for f in fields(base)}
    words: list[list[str]] = [[] for _ in base.words]
    for family, style in drawn.items():
        for name in _OWN[family]:
            mask = on[family].view(-1, *([1] * (parts[name].dim() - 1)))
            parts[name] = torch.where(mask, getattr(style, name), parts[name])
        for row, chosen in enumerate(on[family].tolist()):
            words[row] += [_WORDS[family]] if chosen else []
    merged = Style(**{**parts, "words": [""] * len(words)})
    return replace(merged, words=[" ".join(w) for w in _describe(merged, words)])


def _describe(style: Style, words: list[list[str]]) -> list[list[str]]:
    """Add the words that follow from strengths."""
    table = {"levels": "posterised", "ink": "inked", "hatch": "hatching", "grain": "paper", "glow": "glow"}
    for name, word in {**table, "vignette": "vignette"}.items():
        for row, value in enumerate(getattr(style, name).tolist()):
            words[row] += [word] if value > 0 else []
    return [["styled", *w] if w else ["original"] for w in words]


def _with_looks(g: torch.Generator, style: Style, chosen: Tensor, names: list[str] | None = None) -> Style:
    """Replace some styles by named looks."""
    parts = {f.name: getattr(style, f.name) for f in fields(style)}
    parts = {name: list(value) if name == "words" else value.clone() for name, value in parts.items()}
    draws = torch.randint(0, len(LOOKS), (len(chosen),), generator=g, device=g.device).tolist()
    plain = identity(g, 1)
    for row, on in enumerate(chosen.tolist()):
        if not on:
            continue
        name = names[row] if names else list(LOOKS)[draws[row]]
        for key in parts:
            if key not in ("words", "paper"):
                parts[key][row] = getattr(plain, key)[0]
        for key, value in LOOKS[name].items():
            parts[key][row] = torch.as_tensor(value, device=g.device, dtype=parts[key].dtype)
        parts["words"][row] = name
    return Style(**parts)


def hue_turn(angle: Tensor) -> Tensor:
    """Rotation of RGB about the grey axis.

    Args:
        angle: ``(n,)`` radians.

    Returns:
        ``(n, 3, 3)``.
    """
    c, s = angle.cos(), angle.sin()
    on, plus, minus = c + (1 - c) / 3, (1 - c) / 3 + s / math.sqrt(3), (1 - c) / 3 - s / math.sqrt(3)
    return torch.stack([on, minus, plus, plus, on, minus, minus, plus, on], dim=-1).view(-1, 3, 3)


def _line_colour(g: torch.Generator, n: int) -> Tensor:
    """Mostly dark, sometimes bright lines."""
    return torch.where(uniform(g, n, 1) < 0.65, uniform(g, n, 3, high=0.2), uniform(g, n, 3))


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
    return sum(w * s for w, s in zip(weight, stack, strict=True))


def _blurred(light: Tensor, scale: float) -> Tensor:
    """Blur by about five pixels at 128x128."""
    radius = max(1, round(4 * scale))
    flat = light.flatten(0, 1)
    for _ in range(3):
        flat = F.avg_pool2d(flat, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    return flat.view_as(light)


def _corners(rgb: Tensor) -> Tensor:
    """Distance from the middle, 0 to 1 in the corners."""
    height, width = rgb.shape[-2:]
    y = torch.linspace(-1, 1, height, device=rgb.device).view(-1, 1)
    x = torch.linspace(-1, 1, width, device=rgb.device)
    return (x**2 + y**2) / 2
