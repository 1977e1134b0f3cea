"""True motion in the procedural world: where each pixel of a frame lies in another, from the layers' own maps."""

import math

import torch
from torch import Tensor

from flowedit.tiny.motion import SHAPES_MAX
from flowedit.tiny.world import Scene, edge_distance, screen_points


def follow(scene: Scene, ids: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Follow the pixels of several frames to one other frame each.

    Args:
        scene: the scene.
        ids: ``(b, n, H, W)``: the layer that each followed pixel shows.
        source: ``(b, n)`` frames whose pixels are followed.
        target: ``(b, n)`` frames they are looked for in, earlier or later.

    Returns:
        Positions ``(b, n, H, W, 2)`` in pixels of the target frame, x then y, and ``(b, n, H, W)`` bool: whether the
        same point can be seen there (inside the frame, and no other surface before it).
    """
    b, n, height, width = ids.shape
    points = screen_points(height, width, ids.device)
    layer = ids.flatten(2)
    rows = torch.arange(b, device=ids.device).unsqueeze(1)
    pick_layer = layer[..., None, None].expand(-1, -1, -1, 2, 3)
    maps = scene.to_local[rows, source].gather(2, pick_layer)
    back = _inverse(scene.to_local[rows, target]).gather(2, pick_layer)
    local = (maps[..., :2] @ points[:, :, None] + maps[..., 2:]).squeeze(-1)
    there = (back[..., :2] @ local.unsqueeze(-1) + back[..., 2:]).squeeze(-1)
    top = _top_layer(scene, scene.to_local[rows, target], there)
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=ids.device)
    position = there / (2 / math.sqrt(height * width)) + centre
    inside = (position >= 0).all(-1) & (position <= 2 * centre).all(-1)
    return position.view(b, n, height, width, 2), (inside & (top == layer)).view(b, n, height, width)


def _inverse(maps: Tensor) -> Tensor:
    """Invert affine maps, ``(..., 2, 3)``."""
    linear = torch.linalg.inv(maps[..., :2])
    return torch.cat([linear, -(linear @ maps[..., 2:])], dim=-1)


def _top_layer(scene: Scene, to_local: Tensor, points: Tensor) -> Tensor:
    """Which layer is in front at screen points ``(b, n, p, 2)``, with the maps ``(b, n, L, 2, 3)`` of their frames."""
    top = torch.zeros(points.shape[:3], dtype=torch.int64, device=points.device)
    for layer in range(1, SHAPES_MAX + 1):
        m = to_local[:, :, layer]
        away = edge_distance(scene, layer, points @ m[..., :2].mT + m[..., None, :, 2])
        top = torch.where((away < 0) & (scene.there[:, layer, None, None] > 0), layer, top)
    return top
