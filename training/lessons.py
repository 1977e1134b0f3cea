"""What training sees: styled clips of all worlds, with sources, keyframes and classical estimates."""

import random
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flowedit.tiny.splits import SHARES, Split
from flowedit.tiny.style import stylize
from flowedit.tiny.text import WordTokenizer
from flowedit.tiny.textures import lines, pick, uniform
from flowedit.tiny.world import Clip, Scene, render, sample_scene
from flowedit.wan.routes import confidence_mask
from training.estimates import Estimates, Made
from training.families import Family, sample
from training.keyframes import Lesson, choose_keyframes, lay_out
from training.natural import natural_scene
from training.photographs import load_photographs
from training.styles import keyframe_errors, restyle

NATURAL = 0.55
"""Share of the lessons that film photographs."""
OTHER_STYLE, ENDLESS, ALONE, UNCHANGED = 0.25, 0.6, 0.3, 0.08
"""Shares of lessons whose source has a style of its own, whose styles have random functions on top, and change what one
family does alone; and of clips whose target is the source."""
RECOLOURED = 0.4
"""Share of the photographs whose colours are swapped and whose tones are bent."""
STYLES = 4
"""Styles of each scene in lessons with estimates."""
SIDE, COVER = 448, 96
"""Sides of the pieces of photographs that are filmed, and that cover shapes, in pixels."""


@dataclass(frozen=True)
class Order:
    """A lesson whose estimates are still being made.

    Attributes:
        lesson: the rest of it.
        promises: the estimates, a list a scene; empty where none was asked for.
        keys: their keyframes, clip by clip.
    """

    lesson: Lesson
    promises: "list[Future[list[Made]]]"
    keys: list[list[int]]

    @property
    def ready(self) -> bool:
        """Whether all estimates are made."""
        return all(promise.done() for promise in self.promises)

    def deliver(self) -> Lesson:
        """Wait for the estimates and put the lesson together."""
        if not self.promises:
            return self.lesson
        device = self.lesson.target.device
        made = [one for promise in self.promises for one in promise.result()]
        frames = torch.from_numpy(np.stack([one.frames for one in made])).to(device).permute(0, 4, 1, 2, 3)
        masks = [confidence_mask(torch.from_numpy(one.confidence), k) for one, k in zip(made, self.keys, strict=True)]
        return replace(
            self.lesson,
            estimate=frames.float() / 127.5 - 1,
            confidence=torch.stack(masks).to(device),
            need=torch.from_numpy(np.stack([one.need for one in made])).to(device).float() / 255,
            agreement=torch.tensor([one.agreement for one in made], device=device),
        )


class Lessons:
    """An endless, seeded source of training clips on one device."""

    def __init__(self, device: torch.device | str, number: int, photographs: Path) -> None:
        """Open the sources.

        Args:
            device: where clips are rendered.
            number: which of the training seeds.
            photographs: folder of :func:`training.photographs.fetch`.
        """
        seed = SHARES[Split.TRAIN].seeds[number]
        self.g = torch.Generator(device).manual_seed(seed)
        self.rng = random.Random(seed)
        self.photographs = load_photographs(photographs).to(device)
        self.tokenizer = WordTokenizer()

    @torch.no_grad()
    def clips(self, number: int, frames: int, height: int, width: int) -> Tensor:
        """Render at least 4 clips of all worlds, shuffled, half of them styled: ``(number, 3, T, H, W)`` in [-1, 1]."""
        natural, parts = round(number * NATURAL), []
        for scene in (self._natural(natural, frames), self._world(number - natural, frames)):
            clip = render(scene, height, width)
            styled = self._styled(clip, len(clip.rgb))[0]
            plain = uniform(self.g, len(clip.rgb), 1, 1, 1, 1) < 0.4
            parts.append(torch.where(plain, clip.rgb, styled))
        order = torch.randperm(number, generator=self.g, device=self.g.device)
        return to_model(torch.cat(parts)[order])

    @torch.no_grad()
    def lesson(self, number: int, frames: int, height: int, width: int, estimates: Estimates | None = None) -> Order:
        """Render examples for the transformer, all of one world.

        Args:
            number: how many; with estimates, a multiple of `STYLES`.
            frames: frames a clip.
            height: of a frame.
            width: of a frame.
            estimates: makes the classical estimates; without it the lesson has none.

        Returns:
            The examples, as soon as their estimates are made.
        """
        times = 1 if estimates is None else STYLES
        clip, content = self._clip(number // times, frames, height, width)
        target, words = self._styled(clip, number)
        rgb = clip.rgb
        if self.rng.random() < OTHER_STYLE:
            rgb = stylize(clip, sample(self.g, len(rgb)))
        source, ink = (part.repeat_interleave(times, 0) for part in (rgb, clip.ink))
        target = torch.where(uniform(self.g, number, 1, 1, 1, 1) < UNCHANGED, source, target)
        styled = keyframe_errors(self.g, target, ink)
        texts = [self._caption(s, content[i // times]) for i, s in enumerate(words)]
        first = [choose_keyframes(self.rng, frames) for _ in range(number)]
        clips = [to_model(video) for video in (target, source, styled)]
        order = Order(
            lay_out(clips[0], clips[1], clips[2], first, self.tokenizer(texts, return_mask=True)[0]), [], first
        )
        if estimates is None:
            return order
        second = [choose_keyframes(self.rng, frames) or [self.rng.randrange(0, frames, 4)] for _ in rgb]
        promises = estimates.order(rgb, styled, second)
        return replace(order, promises=promises, keys=[at for at in second for _ in range(times)])

    def _clip(self, number: int, frames: int, height: int, width: int) -> tuple[Clip, list[str]]:
        """Render clips of one world, and say what they show."""
        if self.rng.random() > 1 - NATURAL:
            return render(self._natural(number, frames), height, width), ["photo"] * number
        scene = self._world(number, frames)
        return render(scene, height, width), scene.captions

    def _world(self, number: int, frames: int) -> Scene:
        """Draw procedural scenes, with pieces of photographs on some of the surfaces."""
        return sample_scene(self.g, number, frames, self._pieces(8, 384))

    def _natural(self, number: int, frames: int) -> Scene:
        """Film photographs with a moving camera, half of them behind moving shapes cut from photographs or painted."""
        scene = natural_scene(self.g, self._pieces(number, SIDE), frames, shapes=0.5)
        covers = self._pieces(number * scene.covers.shape[1], COVER)
        covers = torch.cat([covers, lines(covers)], dim=1).unflatten(0, (number, -1))
        painted = F.interpolate(scene.covers.flatten(0, 1), size=COVER, mode="bilinear").view_as(covers)
        cut = uniform(self.g, number, covers.shape[1], 1, 1, 1) < 0.7
        return replace(scene, covers=torch.where(cut, covers, painted))

    def _pieces(self, number: int, side: int) -> Tensor:
        """Cut squares of random size out of photographs: mirrored, turned over, recoloured, ``(number, 3, s, s)``."""
        whole = self.photographs.shape[-1]
        found = []
        for index in pick(self.g, len(self.photographs), number).tolist():
            edge = min(whole, max(side // 2, round(whole * self.rng.uniform(0.3, 1.0) ** (1 if side > 200 else 2))))
            top, left = (self.rng.randrange(whole - edge + 1) for _ in range(2))
            piece = self.photographs[index : index + 1, :, top : top + edge, left : left + edge].float() / 255
            found.append(F.interpolate(piece, size=(side, side), mode="bilinear", antialias=True, align_corners=False))
        pieces = torch.cat(found)
        for axis, share in ((-1, 0.5), (-2, 0.15)):
            pieces = torch.where(uniform(self.g, number, 1, 1, 1) < share, pieces.flip(axis), pieces)
        order = torch.rand(number, 3, generator=self.g, device=self.g.device).argsort(1)
        swapped = pieces.gather(1, order[..., None, None].expand_as(pieces))
        bent = swapped ** torch.exp(uniform(self.g, number, 1, 1, 1, low=-0.5, high=0.5))
        return torch.where(uniform(self.g, number, 1, 1, 1) < RECOLOURED, bent, pieces).clamp(0, 1)

    def _styled(self, clip: Clip, number: int) -> tuple[Tensor, list[str]]:
        """Put styles on clips, so many in all: of the families, with random functions on top."""
        times = number // len(clip.rgb)
        parts = (part.repeat_interleave(times, 0) for part in (clip.rgb, clip.ink, clip.ids, clip.anchor))
        many = Clip(*parts, captions=[c for c in clip.captions for _ in range(times)])
        family = self.rng.choice(list(Family)) if self.rng.random() < ALONE else None
        drawn = sample(self.g, number, family=family)
        rgb, words = stylize(many, drawn), drawn.words
        if self.rng.random() < ENDLESS:
            base = torch.where(uniform(self.g, number, 1, 1, 1, 1) < 0.5, many.rgb, rgb)
            return restyle(self.g, self.rng, base, many), ["styled"] * number
        return rgb, words

    def _caption(self, style: str, content: str) -> str:
        """Put words together: style first; now and then only one of the two."""
        draw = self.rng.random()
        if draw < 0.25:
            return style
        return content if draw < 0.4 else f"{style}, {content}"


def to_model(video: Tensor) -> Tensor:
    """From ``(b, T, 3, H, W)`` in [0, 1] to ``(b, 3, T, H, W)`` in [-1, 1]."""
    return video.transpose(1, 2) * 2 - 1
