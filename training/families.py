"""Random styles of six families: training draws them, and the benchmark tells how well each is edited."""

import math
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from flowedit.tiny.looks import LOOKS
from flowedit.tiny.splits import SHARES, Split
from flowedit.tiny.style import Style, identity
from flowedit.tiny.textures import uniform


class Family(StrEnum):
    """What a style changes; the benchmark reports each apart."""

    GLOBAL = "global colour"
    TONE = "tone and posterise"
    EDGES = "edges and hatching"
    TEXTURE = "texture and glow"
    LOCAL = "local recolour"
    GEOMETRY = "thick outlines"


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


def _with_looks(g: torch.Generator, style: Style, chosen: Tensor) -> Style:
    """Replace some styles by named looks."""
    given = {f.name: getattr(style, f.name) for f in fields(style)}
    parts: dict[str, Any] = {name: list(value) if name == "words" else value.clone() for name, value in given.items()}
    draws = torch.randint(0, len(LOOKS), (len(chosen),), generator=g, device=g.device).tolist()
    plain = identity(g, 1)
    for row, on in enumerate(chosen.tolist()):
        if not on:
            continue
        name = list(LOOKS)[draws[row]]
        for key in parts:
            if key not in ("words", "paper"):
                parts[key][row] = getattr(plain, key)[0]
        for key, value in LOOKS[name].items():
            parts[key][row] = torch.as_tensor(value, device=g.device, dtype=parts[key].dtype)
        parts["words"][row] = name
    return Style(**parts)


def hue_turn(angle: Tensor) -> Tensor:
    """Rotation of RGB about the grey axis by ``(n,)`` radians, ``(n, 3, 3)``."""
    c, s = angle.cos(), angle.sin()
    on, plus, minus = c + (1 - c) / 3, (1 - c) / 3 + s / math.sqrt(3), (1 - c) / 3 - s / math.sqrt(3)
    return torch.stack([on, minus, plus, plus, on, minus, minus, plus, on], dim=-1).view(-1, 3, 3)


def _line_colour(g: torch.Generator, n: int) -> Tensor:
    """Mostly dark, sometimes bright lines."""
    return torch.where(uniform(g, n, 1) < 0.65, uniform(g, n, 3, high=0.2), uniform(g, n, 3))
