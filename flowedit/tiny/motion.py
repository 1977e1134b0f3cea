"""How the shapes and the camera of the procedural world move, and the words for it."""

import math

import torch
from torch import Tensor

from flowedit.tiny.textures import OUTLINES, uniform

SHAPES_MAX = 4
"""Most shapes in a scene."""
_COUNTS = ("one", "two", "three", "four")


def similarity(place: Tensor, size: Tensor, turn: Tensor, aspect: Tensor) -> Tensor:
    """Map from the world to a shape's own coordinates: minus its place, turned back, in units of its size.

    Args:
        place: ``(b, T, n, 2)`` centres.
        size: ``(b, T, n)`` radii.
        turn: ``(b, T, n)`` angles in radians.
        aspect: ``(b, 1, n)`` height over width.

    Returns:
        ``(b, T, n, 2, 3)`` affine maps.
    """
    rows = torch.stack(
        [torch.stack([turn.cos(), turn.sin()], -1), torch.stack([-turn.sin(), turn.cos()], -1) / aspect[..., None]], -2
    ) / size.view(*size.shape, 1, 1)
    return torch.cat([rows, -(rows @ place.unsqueeze(-1))], dim=-1)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Join two affine maps.

    Args:
        outer: ``(..., 2, 3)``, applied last.
        inner: ``(..., 2, 3)``, applied first.

    Returns:
        ``(..., 2, 3)``.
    """
    linear = outer[..., :2] @ inner[..., :2]
    return torch.cat([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], dim=-1)


def camera_paths(g: torch.Generator, batch: int, time: Tensor) -> tuple[Tensor, list[str]]:
    """Draw camera paths.

    Args:
        g: the source of randomness.
        batch: how many.
        time: ``(1, T)``, 1 after 32 frames.

    Returns:
        Maps from screen to world ``(b, T, 2, 3)``, and words.
    """
    on = [(uniform(g, batch, 1) < share).float() for share in (0.75, 0.55, 0.3, 0.2)]
    pan = torch.randn(batch, 2, generator=g, device=g.device) * 0.38 * on[0]
    zoom = uniform(g, batch, 1, low=-0.35, high=0.4) * on[1]
    turn = uniform(g, batch, 1, low=-0.6, high=0.6) * on[2]
    sway = uniform(g, batch, 1, high=0.08) * on[3] * (time * uniform(g, batch, 1, low=5, high=14)).sin()
    start = uniform(g, batch, 1, low=-0.5, high=0.5)
    where = pan.unsqueeze(1) * (time - 0.5).unsqueeze(-1) + sway.unsqueeze(-1)
    angle = start + turn * time
    scale = torch.exp(-zoom * time) * uniform(g, batch, 1, low=0.85, high=1.15)
    linear = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)], -2
    )
    maps = torch.cat([linear * scale[..., None, None], where.unsqueeze(-1)], dim=-1)
    return maps, [_camera_words(*row) for row in torch.cat([pan, zoom, turn], dim=1).tolist()]


def _camera_words(right: float, down: float, zoom: float, turn: float) -> str:
    """Words for one camera path."""
    words = []
    if math.hypot(right, down) > 0.15:
        sideways = abs(right) > abs(down)
        words.append("pan " + (("right" if right > 0 else "left") if sideways else ("down" if down > 0 else "up")))
    if abs(zoom) > 0.1:
        words.append("zoom in" if zoom > 0 else "zoom out")
    if abs(turn) > 0.15:
        words.append("turning")
    return "camera " + (" ".join(words) if words else "still")


def tracks(g: torch.Generator, batch: int, time: Tensor) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """Draw the paths of shapes.

    Args:
        g: the source of randomness.
        batch: how many clips.
        time: ``(1, T, 1)``, 1 after 32 frames.

    Returns:
        Centres ``(b, T, n, 2)``, radii and angles ``(b, T, n)``, and one text a shape, clip by clip.
    """
    n = SHAPES_MAX
    begin, end = (uniform(g, batch, 1, n, 2, low=-0.85, high=0.85) for _ in range(2))
    moves = (uniform(g, batch, 1, n) < 0.85).float()
    speed = (end - begin) * moves.unsqueeze(-1)
    bob = uniform(g, batch, 1, n, high=0.3) * (uniform(g, batch, 1, n) < 0.45)
    swing = torch.stack([bob * 0.5, bob], -1) * (time * uniform(g, batch, 1, n, low=4, high=11)).sin().unsqueeze(-1)
    place = begin + speed * time.unsqueeze(-1) + swing
    growth = uniform(g, batch, 1, n, low=-0.5, high=0.5) * (uniform(g, batch, 1, n) < 0.3)
    size = uniform(g, batch, 1, n, low=0.18, high=0.58) * torch.exp(growth * time)
    spin = uniform(g, batch, 1, n, low=-2.8, high=2.8) * (uniform(g, batch, 1, n) < 0.7)
    turn = uniform(g, batch, 1, n, high=math.tau) + spin * time
    facts = torch.cat([speed, bob.unsqueeze(-1), spin.unsqueeze(-1), growth.unsqueeze(-1)], -1).flatten(0, 2).tolist()
    return place, size, turn, [_track_words(*row) for row in facts]


def _track_words(right: float, down: float, bob: float, spin: float, growth: float) -> str:
    """Words for one path."""
    words = []
    if math.hypot(right, down) > 0.25:
        sideways = abs(right) > abs(down)
        words.append(("right" if right > 0 else "left") if sideways else ("down" if down > 0 else "up"))
    words += ["bouncing"] if bob > 0.1 else []
    words += ["spinning"] if abs(spin) > 0.8 else []
    words += (["growing"] if growth > 0 else ["shrinking"]) if abs(growth) > 0.15 else []
    return " ".join(words) if words else "still"


def captions(kinds: list[list[int]], counts: list[int], words: tuple[list[str], ...]) -> list[str]:
    """Put each clip's words together.

    Args:
        kinds: outline of each shape, clip by clip.
        counts: shapes of each clip.
        words: for the backgrounds, the surfaces of the shapes, their paths, and the cameras.

    Returns:
        One text a clip.
    """
    ground, covers, tracks, camera = words
    texts = []
    for clip, count in enumerate(counts):
        parts = [_COUNTS[count - 1]]
        for layer in range(count):
            index = clip * SHAPES_MAX + layer
            parts.append(f"{covers[index]} {OUTLINES[kinds[clip][layer]]} {tracks[index]}")
        texts.append(", ".join([*parts, f"{ground[clip]} background", camera[clip]]))
    return texts
