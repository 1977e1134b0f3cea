"""The procedural world: clips of moving shapes under a moving camera, with true motion and true visibility.

Every layer (the background, then the shapes from back to front) is an affine map of the screen at every frame. Colours
are looked up in the layer's own coordinates, so where a point of one frame lies in another is known exactly.

Screen coordinates are centred and isotropic: a frame of any aspect has an area of 4, and one pixel is
``2 / sqrt(height * width)`` wide.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.tiny.motion import SHAPES_MAX, camera_paths, captions, compose, similarity, tracks
from flowedit.tiny.textures import HUES, OUTLINES, PATTERNS, distance, outlines, pick, surfaces, uniform

GROUND = 2.6
"""Half the side of the background's surface, in screen units; it is mirrored beyond."""
COVER = 1.35
"""Half the side of a shape's surface, in units of its radius."""


@dataclass(frozen=True)
class Clip:
    """Rendered clips.

    Attributes:
        rgb: ``(b, T, 3, H, W)`` in [0, 1].
        ink: ``(b, T, 1, H, W)`` in [0, 1]: outlines and pattern lines, for styles that draw them.
        ids: ``(b, T, 1, H, W)`` int64: 0 background, then the shapes.
        anchor: ``(b, T, 2, H, W)``: coordinates on the surface seen at each pixel, for textures that move with it.
        captions: words, one text a clip.
    """

    rgb: Tensor
    ink: Tensor
    ids: Tensor
    anchor: Tensor
    captions: list[str]


@dataclass(frozen=True)
class Scene:
    """Everything that defines clips, apart from the size of their frames.

    Attributes:
        to_local: ``(b, T, L, 2, 3)``: from screen to each layer's own coordinates.
        unit: ``(b, T, L)``: screen length of a layer's unit.
        light: ``(b, T, L, 2)``: direction to the light in the layer's own coordinates.
        there: ``(b, L)``, 1 where the layer exists.
        kinds: ``(b, L)`` indices of outlines.
        tables: ``(b, L, 2, directions)`` outlines.
        ground: ``(b, 4, S, S)`` surface of the background.
        covers: ``(b, L - 1, 4, s, s)`` surfaces of the shapes.
        shade: ``(b, L)`` strength of shading; ``gloss`` the same for highlights.
        gloss: see ``shade``.
        captions: words, one text a clip.
    """

    to_local: Tensor
    unit: Tensor
    light: Tensor
    there: Tensor
    kinds: Tensor
    tables: Tensor
    ground: Tensor
    covers: Tensor
    shade: Tensor
    gloss: Tensor
    captions: list[str]


def sample_scene(g: torch.Generator, batch: int, frames: int, photos: Tensor | None = None) -> Scene:
    """Draw scenes.

    Args:
        g: the only source of randomness; the scene lives on its device.
        batch: how many.
        frames: frames a clip.
        photos: ``(m, 3, h, w)`` photographs in [0, 1] from which surfaces may be cut; without them all is painted.

    Returns:
        The scenes.
    """
    layers = SHAPES_MAX + 1
    time = torch.arange(frames, device=g.device).view(1, frames, 1) / 32
    camera, camera_words = camera_paths(g, batch, time.squeeze(-1))
    place, size, turn, object_words = tracks(g, batch, time)
    aspect = torch.where(uniform(g, batch, 1, SHAPES_MAX) < 0.3, uniform(g, batch, 1, SHAPES_MAX, low=0.6), 1.0)
    local = similarity(place, size, turn, aspect)
    to_local = torch.cat([camera.unsqueeze(2), compose(local, camera.unsqueeze(2))], dim=2)
    zoom = camera[..., 0, :2].norm(dim=-1)
    unit = torch.cat([1 / zoom.unsqueeze(2), size * aspect.clamp(max=1) / zoom.unsqueeze(2)], dim=2)
    sun = uniform(g, batch, 1, 1, high=math.tau) - torch.cat([torch.zeros_like(turn[..., :1]), turn], dim=2)
    kinds = pick(g, len(OUTLINES), batch, layers)
    count = pick(g, SHAPES_MAX, batch) + 1
    there = (torch.arange(layers, device=g.device) <= count.unsqueeze(1)).float()
    ground, ground_words = _paint(g, batch, 384, photos, scale=GROUND, photo_share=0.3)
    covers, cover_words = _paint(g, batch * SHAPES_MAX, 72, photos, scale=0.7, photo_share=0.15)
    words = (ground_words, cover_words, object_words, camera_words)
    return Scene(
        to_local=to_local,
        unit=unit,
        light=torch.stack([sun.cos(), sun.sin()], dim=-1),
        there=there,
        kinds=kinds,
        tables=outlines(g, kinds.flatten()).unflatten(0, (batch, layers)),
        ground=ground,
        covers=covers.unflatten(0, (batch, SHAPES_MAX)),
        shade=uniform(g, batch, layers, low=0.0, high=0.45),
        gloss=uniform(g, batch, layers, high=0.7) * (uniform(g, batch, layers) < 0.4),
        captions=captions(kinds[:, 1:].tolist(), count.tolist(), words),
    )


def render(scene: Scene, height: int, width: int) -> Clip:
    """Draw scenes.

    Args:
        scene: what to draw.
        height: of a frame, in pixels.
        width: of a frame, in pixels.

    Returns:
        The clips, on the scene's device.
    """
    b, frames = scene.to_local.shape[:2]
    pixel = 2 / math.sqrt(height * width)
    points = screen_points(height, width, scene.to_local.device)
    own = _apply(scene.to_local[:, :, 0], points)
    image = _look_up(scene.ground, own / GROUND, (b, frames, height, width))
    ids = torch.zeros(b, frames, 1, height, width, dtype=torch.int64, device=image.device)
    anchor = own.unflatten(2, (height, width)).permute(0, 1, 4, 2, 3)
    for layer in range(1, SHAPES_MAX + 1):
        local = _apply(scene.to_local[:, :, layer], points)
        away = edge_distance(scene, layer, local) * (scene.unit[:, :, layer] / pixel).unsqueeze(-1)
        away = away.view(b, frames, 1, height, width)
        there = scene.there[:, layer].view(b, 1, 1, 1, 1)
        alpha = (0.5 - away * 0.8).clamp(0, 1) * there
        paint = _shaded(scene, layer, local, (b, frames, height, width))
        line = torch.exp(-((away / 1.2) ** 2)) * there
        image = torch.cat(
            [image[:, :, :3] * (1 - alpha) + paint[:, :, :3] * alpha, _over(image, paint, alpha, line)], 2
        )
        ids = torch.where(alpha > 0.5, layer, ids)
        own = local.unflatten(2, (height, width)).permute(0, 1, 4, 2, 3)
        anchor = torch.where(alpha > 0.5, own * scene.unit[:, :, layer].view(b, frames, 1, 1, 1), anchor)
    return Clip(image[:, :, :3].clamp(0, 1), image[:, :, 3:].clamp(0, 1), ids, anchor, scene.captions)


def screen_points(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Give the screen coordinates of the pixels of a frame.

    Args:
        height: of a frame.
        width: of a frame.
        device: of the result.

    Returns:
        ``(height * width, 2)``, x then y, row by row.
    """
    pixel = 2 / math.sqrt(height * width)
    y = (torch.arange(height, device=device) - (height - 1) / 2) * pixel
    x = (torch.arange(width, device=device) - (width - 1) / 2) * pixel
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)


def edge_distance(scene: Scene, layer: int, local: Tensor) -> Tensor:
    """Distance to a layer's edge for points ``(b, T, n, 2)`` in its own coordinates."""
    b, frames = local.shape[:2]
    return distance(scene.tables[:, layer], scene.kinds[:, layer], local.flatten(1, 2)).view(b, frames, -1)


def _shaded(scene: Scene, layer: int, local: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Look up a shape's surface and light it."""
    paint = _look_up(scene.covers[:, layer - 1], local / COVER, shape)
    b, frames, height, width = shape
    sun = scene.light[:, :, layer].unsqueeze(2)
    toward = (local * sun).sum(-1).view(b, frames, 1, height, width)
    spot = ((local - 0.45 * sun) ** 2).sum(-1).view(b, frames, 1, height, width)
    shade = (1 + scene.shade[:, layer].view(b, 1, 1, 1, 1) * (toward - 0.25)).clamp(0.3, 1.4)
    gloss = scene.gloss[:, layer].view(b, 1, 1, 1, 1) * torch.exp(-spot / 0.04)
    return torch.cat([(paint[:, :, :3] * shade + gloss).clamp(0, 1), paint[:, :, 3:]], dim=2)


def _over(below: Tensor, paint: Tensor, alpha: Tensor, line: Tensor) -> Tensor:
    """Ink of a layer laid over the ink below it; the outline is drawn half outside."""
    return torch.maximum(below[:, :, 3:] * (1 - alpha) + 0.6 * paint[:, :, 3:] * alpha, line)


def _look_up(surface: Tensor, at: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Sample surfaces ``(b, c, s, s)`` at ``(b, T, n, 2)``, mirrored beyond their border."""
    b, frames, height, width = shape
    at = at.view(b, frames * height, width, 2)
    found = F.grid_sample(surface, at, padding_mode="reflection", align_corners=False)
    return found.unflatten(2, (frames, height)).transpose(1, 2)


def _apply(maps: Tensor, points: Tensor) -> Tensor:
    """Map screen points ``(n, 2)`` by ``(b, T, 2, 3)`` to ``(b, T, n, 2)``."""
    return points @ maps[..., :2].mT + maps[..., None, :, 2]


def _paint(
    g: torch.Generator, number: int, side: int, photos: Tensor | None, *, scale: float, photo_share: float
) -> tuple[Tensor, list[str]]:
    """Draw surfaces and the words for them."""
    kinds = pick(g, len(PATTERNS) - 1, number)
    kinds = torch.where(uniform(g, number) < photo_share, len(PATTERNS) - 1, kinds)
    cut = None
    if photos is not None:
        centre = uniform(g, number, 1, 1, 2, low=-0.5, high=0.5)
        half = uniform(g, number, 1, 1, 1, low=0.25, high=0.6) * min(1.0, side / 200)
        axis = torch.linspace(-1, 1, side, device=g.device)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1) * half + centre
        cut = F.grid_sample(photos[pick(g, len(photos), number)], grid, padding_mode="reflection", align_corners=False)
    surface, colours = surfaces(g, kinds, side, cut, scale)
    names = list(HUES)
    pairs = zip(kinds.tolist(), colours.tolist(), strict=True)
    return surface, [PATTERNS[k] if k == len(PATTERNS) - 1 else f"{names[c]} {PATTERNS[k]}" for k, c in pairs]
