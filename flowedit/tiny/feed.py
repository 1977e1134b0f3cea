"""What training sees: styled clips of all worlds, for the transformer with keyframes and imperfect versions."""

import random
import sys
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.tiny import styles
from flowedit.tiny.keyframes import (
    blend_weight,
    choose_keyframes,
    disagreement,
    keyframe_clip,
    keyframe_mask,
    nearest,
)
from flowedit.tiny.natural import TRAINING, load_images, natural_scene
from flowedit.tiny.splits import SHARES, Split
from flowedit.tiny.text import WordTokenizer
from flowedit.tiny.textures import uniform
from flowedit.tiny.world import Clip, Scene, follow, render, sample_scene, screen_points


@dataclass(frozen=True)
class Lesson:
    """One batch of examples for the transformer, pixels in [-1, 1].

    Attributes:
        target: ``(b, 3, T, H, W)``: the clip in its style.
        imperfect: the same shape: the clip in another style, in a part of its style, or as propagated keyframes.
        keys: two sets of keyframe clips, each ``(b, 3, T, H, W)``.
        masks: the two masks, each ``(b, 4, slots, 1, 1)``.
        tokens: ``(b, 32)`` ids of the captions.
    """

    target: Tensor
    imperfect: Tensor
    keys: tuple[Tensor, Tensor]
    masks: tuple[Tensor, Tensor]
    tokens: Tensor


class Feed:
    """An endless, seeded source of training clips on one device."""

    def __init__(
        self, device: torch.device | str, number: int, *, images: Path | None = None, extra: Path | None = None
    ) -> None:
        """Open the sources.

        Args:
            device: where clips are rendered.
            number: which of the training seeds.
            images: folder of the photographs, scikit-image's own by default.
            extra: Python file of one more world, with ``render``, ``sample_style`` and ``stylize``.
        """
        seeds = SHARES[Split.TRAIN].seeds
        self.g = torch.Generator(device).manual_seed(seeds[number])
        self.rng = random.Random(seeds[number])
        self.photos = load_images(list(TRAINING), folder=images).to(device)
        self.words = list(TRAINING.values())
        self.extra = None if extra is None else load_world(extra)
        self.tokenizer = WordTokenizer()

    @torch.no_grad()
    def clips(self, number: int, frames: int, height: int, width: int) -> Tensor:
        """Render styled clips of all worlds, shuffled.

        Args:
            number: how many, at least 4.
            frames: frames a clip.
            height: of a frame.
            width: of a frame.

        Returns:
            ``(number, 3, T, H, W)`` in [-1, 1].
        """
        natural, square = round(number * 0.3), height == width and self.extra is not None
        extra = round(number * 0.25) if square else 0
        parts = [self._styled(self._world(number - natural - extra, frames)[0], height, width)]
        parts.append(self._styled(self._natural(natural, frames)[0], height, width))
        if extra:
            parts.append(self._extra(extra, frames, height)[0])
        order = torch.randperm(number, generator=self.g, device=self.g.device)
        return _to_model(torch.cat(parts)[order])

    @torch.no_grad()
    def lesson(self, number: int, frames: int, height: int, width: int) -> Lesson:
        """Render examples for the transformer, all of one world.

        Args:
            number: how many.
            frames: frames a clip.
            height: of a frame.
            width: of a frame.

        Returns:
            The examples.
        """
        first, second = ([choose_keyframes(self.rng, frames) for _ in range(number)] for _ in range(2))
        jitter = disagreement(self.g, number, frames)
        draw = self.rng.random()
        if draw < 0.18 and height == width and self.extra is not None:
            target, imperfect, texts = self._extra(number, frames, height)
        else:
            scene, words = (self._natural if draw > 0.7 else self._world)(number, frames)
            clip, style = render(scene, height, width), styles.sample(self.g, number)
            target = styles.stylize(clip, style)
            imperfect = self._imperfect(scene, clip, style, target, (second, jitter))
            texts = [self._caption(s, w) for s, w in zip(style.words, words, strict=True)]
        target = _to_model(target)
        return Lesson(
            target=target,
            imperfect=_to_model(imperfect),
            keys=(keyframe_clip(target, first), keyframe_clip(target, second, jitter)),
            masks=(keyframe_mask(first, frames, 1, 1), keyframe_mask(second, frames, 1, 1)),
            tokens=self.tokenizer(texts, return_mask=True)[0],
        )

    def _imperfect(
        self, scene: Scene, clip: Clip, style: styles.Style, target: Tensor, keys: tuple[list[list[int]], Tensor]
    ) -> Tensor:
        """Draw the start of an edit: another style, only the colours of the style, or propagated keyframes."""
        draw = self.rng.random()
        if draw < 0.4:
            return styles.stylize(clip, styles.sample(self.g, len(target)))
        if draw < 0.6:
            none = styles.identity(self.g, len(target))
            names = ("ink", "hatch", "grain", "glow", "vignette", "recolour")
            return styles.stylize(clip, replace(style, **{name: getattr(none, name) for name in names}))
        indices, jitter = keys
        return propagate(scene, clip, jittered(target, jitter), [k or [0] for k in indices], self.g)

    def _world(self, number: int, frames: int) -> tuple[Scene, list[str]]:
        """Draw procedural scenes."""
        scene = sample_scene(self.g, number, frames, self.photos)
        return scene, scene.captions

    def _natural(self, number: int, frames: int) -> tuple[Scene, list[str]]:
        """Draw filmed photographs, some mirrored."""
        index = [self.rng.randrange(len(self.photos)) for _ in range(number)]
        pictures = self.photos[index]
        pictures = torch.where(uniform(self.g, number, 1, 1, 1) < 0.5, pictures.flip(-1), pictures)
        return natural_scene(self.g, pictures, frames), [self.words[i] for i in index]

    def _styled(self, scene: Scene, height: int, width: int) -> Tensor:
        """Render scenes in random styles."""
        return styles.stylize(render(scene, height, width), styles.sample(self.g, len(scene.captions)))

    def _extra(self, number: int, frames: int, side: int) -> tuple[Tensor, Tensor, list[str]]:
        """Render the additional world in two styles of its own, or one of ours."""
        world: Any = self.extra
        rgb, ink, _ = world.render(number, frames, self.g, S=side)
        first, second = (world.sample_style(number, self.g) for _ in range(2))
        imperfect = world.stylize(rgb, ink, first)
        if self.rng.random() < 0.5:
            return world.stylize(rgb, ink, second), imperfect, ["shapes"] * number
        screen = screen_points(side, side, self.g.device).T.reshape(1, 1, 2, side, side)
        ids = torch.zeros_like(ink, dtype=torch.int64)
        clip = Clip(rgb, ink, ids, screen.expand(number, frames, 2, side, side), ["shapes"] * number)
        style = styles.sample(self.g, number)
        return styles.stylize(clip, style), imperfect, [self._caption(w, "shapes") for w in style.words]

    def _caption(self, style: str, content: str) -> str:
        """Put words together: style first; now and then only one of the two."""
        draw = self.rng.random()
        if draw < 0.25:
            return style
        return content if draw < 0.4 else f"{style}, {content}"


def propagate(scene: Scene, clip: Clip, styled: Tensor, indices: list[list[int]], g: torch.Generator) -> Tensor:
    """Carry keyframes along an imperfect motion, ghosts included, as optical-flow propagation does.

    Args:
        scene: the scene, which knows the true motion.
        clip: the scene, rendered.
        styled: ``(b, T, 3, H, W)`` in [0, 1], from which the keyframes are taken.
        indices: keyframes, clip by clip, none empty.
        g: draws the error of the motion, up to about 1.5 pixels.

    Returns:
        ``(b, T, 3, H, W)``.
    """
    b, frames, _, height, width = styled.shape
    ids, rows = clip.ids[:, :, 0], torch.arange(b, device=g.device).unsqueeze(1)
    time = torch.arange(frames, device=g.device).expand(b, frames)
    sides = [torch.tensor(side, device=g.device) for side in nearest(indices, frames)]
    guesses = []
    for side in sides:
        position, _ = follow(scene, ids, time, side)
        coarse = torch.randn(b * frames, 2, 7, 7, generator=g, device=g.device)
        error = F.interpolate(coarse, size=(height, width), mode="bilinear").permute(0, 2, 3, 1).view_as(position)
        size = uniform(g, b, 1, 1, 1, 1, high=1.5) * (side != time).view(b, frames, 1, 1, 1)
        at = (position + error * size) * 2 / torch.tensor([width - 1, height - 1], device=g.device) - 1
        found = F.grid_sample(
            styled[rows, side].flatten(0, 1), at.flatten(0, 1), padding_mode="border", align_corners=True
        )
        guesses.append(found.view(b, frames, 3, height, width))
    weight = blend_weight(sides[0], sides[1], frames).view(b, frames, 1, 1, 1)
    return guesses[0] * (1 - weight) + guesses[1] * weight


def jittered(video: Tensor, jitter: Tensor) -> Tensor:
    """Apply each frame's own gain and offset, about mid grey.

    Args:
        video: ``(b, T, 3, H, W)`` in [0, 1].
        jitter: ``(b, T, 2, 3)`` of :func:`flowedit.tiny.keyframes.disagreement`, for values in [-1, 1].

    Returns:
        The same shape.
    """
    gain, offset = (jitter[:, :, k][..., None, None] for k in range(2))
    return ((video - 0.5) * gain + 0.5 + offset / 2).clamp(0, 1)


def _to_model(video: Tensor) -> Tensor:
    """From ``(b, T, 3, H, W)`` in [0, 1] to ``(b, 3, T, H, W)`` in [-1, 1]."""
    return video.transpose(1, 2) * 2 - 1


def load_world(path: Path) -> ModuleType:
    """Import a world from a file.

    Args:
        path: Python file with ``render``, ``sample_style`` and ``stylize``.

    Returns:
        The module.
    """
    spec = spec_from_file_location("extra_world", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file.")
    module = module_from_spec(spec)
    sys.modules["extra_world"] = module
    spec.loader.exec_module(module)
    return module
