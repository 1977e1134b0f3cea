"""Named looks: settings of :class:`flowedit.tiny.style.Style` that have a word in the vocabulary."""

from dataclasses import replace
from typing import Any

import torch

from flowedit.errors import SettingError
from flowedit.tiny.style import Style, identity

GREY = [[0.3, 0.59, 0.11]] * 3
"""Colour matrix of lightness."""


def _saturated(amount: float, scale: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> list[list[float]]:
    """Colour matrix: saturation, then a gain of each channel."""
    return [[scale[i] * (amount * (i == j) + (1 - amount) * GREY[0][j]) for j in range(3)] for i in range(3)]


def _duotone(dark: tuple[float, float, float], bright: tuple[float, float, float]) -> dict[str, Any]:
    """Lightness mapped to a range between two colours."""
    span = [b - d for b, d in zip(bright, dark, strict=True)]
    middle = [(b + d) / 2 - 0.5 for b, d in zip(bright, dark, strict=True)]
    return {"matrix": [[s * w for w in GREY[0]] for s in span], "bias": middle}


LOOKS: dict[str, dict[str, Any]] = {
    "watercolour": {
        "matrix": _saturated(0.8),
        "bias": [0.12, 0.12, 0.12],
        "gamma": 0.8,
        "grain": 0.3,
        "stuck": 0.0,
        "levels": 6.0,
    },
    "anime": {
        "matrix": _saturated(1.5),
        "bias": [0.06, 0.05, 0.08],
        "levels": 5.0,
        "ink": 0.9,
        "thick": 0.2,
        "line": [0.12, 0.06, 0.12],
    },
    "comic": {
        "matrix": _saturated(1.6, (1.15, 1.1, 1.1)),
        "levels": 4.0,
        "ink": 1.0,
        "thick": 1.0,
        "line": [0.02, 0.02, 0.05],
    },
    "sketch": {
        "matrix": [[0.18, 0.35, 0.07]] * 3,
        "bias": [0.32, 0.31, 0.28],
        "ink": 0.9,
        "hatch": 0.8,
        "pitch": 18.0,
        "angle": 0.8,
        "line": [0.15, 0.15, 0.17],
        "grain": 0.12,
    },
    "oil": {"matrix": _saturated(1.35, (1.1, 1.0, 0.9)), "levels": 7.0, "grain": 0.22, "stuck": 1.0, "gamma": 1.1},
    "neon": {
        "matrix": _saturated(1.9),
        "bias": [-0.3, -0.33, -0.22],
        "ink": 1.0,
        "thick": 0.4,
        "line": [0.2, 1.0, 0.95],
        "glow": 1.5,
    },
    "vintage": {
        "matrix": [[0.5, 0.4, 0.1], [0.35, 0.42, 0.1], [0.28, 0.35, 0.15]],
        "bias": [0.06, 0.02, -0.06],
        "grain": 0.18,
        "vignette": 0.6,
    },
    "noir": {"matrix": [[0.45, 0.9, 0.18]] * 3, "bias": [-0.08, -0.08, -0.08], "vignette": 0.7, "gamma": 1.3},
    "pastel": {"matrix": _saturated(0.7, (0.7, 0.7, 0.7)), "bias": [0.24, 0.22, 0.25], "glow": 0.4},
    "popart": {
        "matrix": [[-0.4, 1.2, 0.5], [1.1, -0.5, 0.4], [0.3, 0.6, -0.9]],
        "levels": 3.0,
        "ink": 1.0,
        "thick": 0.8,
        "line": [0.05, 0.0, 0.1],
    },
    "blueprint": {
        **_duotone((0.02, 0.1, 0.35), (0.15, 0.35, 0.75)),
        "ink": 1.0,
        "thick": 0.1,
        "line": [0.9, 0.95, 1.0],
        "hatch": 0.4,
        "pitch": 14.0,
    },
    "woodcut": {
        "matrix": [[0.6, 1.1, 0.3]] * 3,
        "bias": [0.02, 0.0, -0.05],
        "levels": 3.0,
        "ink": 1.0,
        "thick": 0.7,
        "hatch": 0.9,
        "pitch": 12.0,
        "cross": 1.0,
        "line": [0.12, 0.07, 0.04],
        "stuck": 1.0,
    },
    "warm": {"matrix": _saturated(1.1, (1.2, 1.0, 0.75)), "bias": [0.08, 0.02, -0.06]},
    "cool": {"matrix": _saturated(1.05, (0.75, 1.0, 1.25)), "bias": [-0.06, 0.02, 0.08]},
    "sepia": _duotone((0.16, 0.08, 0.02), (1.0, 0.9, 0.7)),
    "monochrome": {"matrix": GREY},
    "inverted": {"matrix": [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]},
    "vivid": {"matrix": _saturated(2.0)},
    "faded": {"matrix": _saturated(0.5, (0.7, 0.7, 0.7)), "bias": [0.1, 0.1, 0.12]},
    "dark": {"gamma": 1.9},
    "bright": {"gamma": 0.55},
    "duotone": _duotone((0.25, 0.05, 0.45), (1.0, 0.85, 0.35)),
    "golden": {"matrix": _saturated(0.9, (1.25, 1.05, 0.6)), "bias": [0.12, 0.06, -0.1], "glow": 0.8},
    "night": {"matrix": _saturated(0.5, (0.45, 0.5, 0.8)), "bias": [-0.26, -0.22, -0.06], "glow": 0.6},
    "autumn": {"matrix": [[0.7, 0.6, 0.0], [0.35, 0.6, 0.0], [0.05, 0.15, 0.4]], "bias": [0.1, 0.0, -0.12]},
    "winter": {"matrix": _saturated(0.35, (0.85, 0.95, 1.05)), "bias": [0.12, 0.15, 0.2]},
    "sunset": _duotone((0.2, 0.02, 0.3), (1.0, 0.65, 0.3)),
    "rose": {"matrix": _saturated(0.8, (1.1, 0.8, 0.9)), "bias": [0.12, -0.02, 0.04]},
    "mint": {"matrix": _saturated(0.7, (0.8, 1.1, 0.95)), "bias": [-0.02, 0.1, 0.05]},
    "lavender": {"matrix": _saturated(0.7, (0.95, 0.85, 1.15)), "bias": [0.06, 0.0, 0.12]},
}
"""Settings by look; what is not named keeps the value that changes nothing. Colour matrices act about mid grey."""


def look(name: str, g: torch.Generator) -> Style:
    """Build a named look.

    Args:
        name: one of :data:`LOOKS`.
        g: draws the paper.

    Raises:
        SettingError: there is no such look.
    """
    if name not in LOOKS:
        raise SettingError(f"There is no look {name!r}. Looks: {', '.join(LOOKS)}.")
    plain = identity(g, 1)
    settings = {key: torch.tensor([value], device=g.device) for key, value in LOOKS[name].items()}
    return replace(plain, **settings, words=[name])
