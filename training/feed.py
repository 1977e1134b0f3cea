"""What training sees: styled clips of all worlds, with sources, keyframes and classical guesses for the transformer."""

import random
import sys
from concurrent.futures import Future
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowedit.tiny import styles
from flowedit.tiny.natural import TRAINING, load_images, natural_scene
from flowedit.tiny.splits import SHARES, Split
from flowedit.tiny.text import WordTokenizer
from flowedit.tiny.textures import uniform
from flowedit.tiny.world import Clip, Scene, render, sample_scene, screen_points
from flowedit.wan.routes import trust_mask
from training.estimates import Guesses, Made
from training.keyframes import choose_keyframes, disagreement, keyframe_clip, keyframe_mask

OTHER_STYLE = 0.35
"""Share of the lessons whose source is not plain but has a style of its own."""
NATURAL, EXTRA = 0.4, 0.18
"""Shares of the lessons that film photographs, and that show the additional world where there is one."""
RECOLOURED = 0.5
"""Share of the photographs whose colours are swapped and whose tones are bent."""
ALONE = 0.35
"""Share of the lessons whose styles change what one family does alone: there the guess is often nearly right."""
STYLES = 4
"""Styles of each scene in lessons with guesses: its motion, which takes most of the time, is then measured once."""


@dataclass(frozen=True)
class Lesson:
    """One batch of examples for the transformer, pixels in [-1, 1].

    Attributes:
        target: ``(b, 3, T, H, W)``: the clip in its style.
        source: the same shape: the clip before the edit, plain or in another style.
        keys: the keyframes on grey, the same shape.
        mask: their mask, ``(b, 4, slots, 1, 1)``.
        guess: where one was asked for, the classical guess from a second set of keyframes.
        trust: its mask, ``(b, 4, slots, h, w)``.
        share: how far a repair is laid on it, ``(b, T, H, W)`` in [0, 1].
        agreement: of its keyframes, ``(b,)`` in [0, 1].
        tokens: ``(b, 32)`` ids of the captions.
    """

    target: Tensor
    source: Tensor
    keys: Tensor
    mask: Tensor
    tokens: Tensor
    guess: Tensor | None = None
    trust: Tensor | None = None
    share: Tensor | None = None
    agreement: Tensor | None = None


@dataclass(frozen=True)
class Order:
    """A lesson whose guesses are still being made.

    Attributes:
        lesson: the rest of it.
        promises: the guesses, a list a scene; empty where none was asked for.
        keys: their keyframes, clip by clip.
    """

    lesson: Lesson
    promises: "list[Future[list[Made]]]"
    keys: list[list[int]]

    @property
    def ready(self) -> bool:
        """Whether all guesses are made."""
        return all(promise.done() for promise in self.promises)

    def deliver(self) -> Lesson:
        """Wait for the guesses and put the lesson together."""
        if not self.promises:
            return self.lesson
        device = self.lesson.target.device
        made = [one for promise in self.promises for one in promise.result()]
        frames = torch.from_numpy(np.stack([one.frames for one in made])).to(device).permute(0, 4, 1, 2, 3)
        masks = [trust_mask(torch.from_numpy(one.trust), k) for one, k in zip(made, self.keys, strict=True)]
        share = torch.from_numpy(np.stack([one.share for one in made])).to(device).float() / 255
        guess = frames.float() / 127.5 - 1
        agreement = torch.tensor([one.agreement for one in made], device=device)
        trust = torch.stack(masks).to(device)
        return replace(self.lesson, guess=guess, trust=trust, share=share, agreement=agreement)


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
    def lesson(self, number: int, frames: int, height: int, width: int, guesses: Guesses | None = None) -> Order:
        """Render examples for the transformer, all of one world.

        Args:
            number: how many; with guesses, a multiple of `STYLES`.
            frames: frames a clip.
            height: of a frame.
            width: of a frame.
            guesses: makes the classical guesses; without it the lesson has none.

        Returns:
            The examples, as soon as their guesses are made.
        """
        times = 1 if guesses is None else STYLES
        first = [choose_keyframes(self.rng, frames) for _ in range(number)]
        second = [choose_keyframes(self.rng, frames) for _ in range(number // times)]
        second = [keys or [self.rng.randrange(0, frames, 4)] for keys in second]
        jitter = disagreement(self.g, number, frames)
        draw = self.rng.random()
        if draw < EXTRA and height == width and self.extra is not None:
            target, source, ink, texts = self._extra(number // times, frames, height, times)
        else:
            scene, words = (self._natural if draw > 1 - NATURAL else self._world)(number // times, frames)
            clip, style = render(scene, height, width), self._style(number)
            many = clip.repeated(times)
            target, source, ink = styles.stylize(many, style), clip.rgb, many.ink
            if self.rng.random() < OTHER_STYLE:
                source = styles.stylize(clip, styles.sample(self.g, number // times))
            words = [w for w in words for _ in range(times)]
            texts = [self._caption(s, w) for s, w in zip(style.words, words, strict=True)]
        styled = jitter.applied(target, ink)
        lesson = Lesson(
            target=_to_model(target),
            source=_to_model(source.repeat_interleave(times, 0)),
            keys=keyframe_clip(_to_model(styled), first),
            mask=keyframe_mask(first, frames, 1, 1),
            tokens=self.tokenizer(texts, return_mask=True)[0],
        )
        keys = [at for at in second for _ in range(times)]
        return Order(lesson, [] if guesses is None else guesses.order(source, styled, second), keys)

    def _world(self, number: int, frames: int) -> tuple[Scene, list[str]]:
        """Draw procedural scenes."""
        scene = sample_scene(self.g, number, frames, self.photos)
        return scene, scene.captions

    def _natural(self, number: int, frames: int) -> tuple[Scene, list[str]]:
        """Draw filmed photographs, some mirrored."""
        index = [self.rng.randrange(len(self.photos)) for _ in range(number)]
        pictures = self.photos[index]
        pictures = torch.where(uniform(self.g, number, 1, 1, 1) < 0.5, pictures.flip(-1), pictures)
        pictures = self._recoloured(pictures)
        return natural_scene(self.g, pictures, frames), [self.words[i] for i in index]

    def _recoloured(self, pictures: Tensor) -> Tensor:
        """Turn every second picture upside down, swap its colours and bend its tones: few photographs, made many."""
        order = torch.rand(len(pictures), 3, generator=self.g, device=self.g.device).argsort(1)
        swapped = pictures.flip(-2).gather(1, order[..., None, None].expand_as(pictures))
        bent = swapped ** torch.exp(uniform(self.g, len(pictures), 1, 1, 1, low=-0.4, high=0.4))
        return torch.where(uniform(self.g, len(pictures), 1, 1, 1) < RECOLOURED, bent, pictures)

    def _styled(self, scene: Scene, height: int, width: int) -> Tensor:
        """Render scenes in random styles."""
        return styles.stylize(render(scene, height, width), styles.sample(self.g, len(scene.captions)))

    def _extra(self, scenes: int, frames: int, side: int, times: int = 1) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        """Render the additional world: in styles of its own or ours, plain, its lines, and captions."""
        world: Any = self.extra
        rgb, ink, _ = world.render(scenes, frames, self.g, S=side)
        number = scenes * times
        if self.rng.random() < 0.5:
            style = world.sample_style(number, self.g)
            both = (part.repeat_interleave(times, 0) for part in (rgb, ink))
            return world.stylize(*both, style), rgb, ink.repeat_interleave(times, 0), ["shapes"] * number
        screen = screen_points(side, side, self.g.device).T.reshape(1, 1, 2, side, side)
        ids = torch.zeros_like(ink, dtype=torch.int64)
        clip = Clip(rgb, ink, ids, screen.expand(scenes, frames, 2, side, side), ["shapes"] * scenes)
        style = self._style(number)
        many = clip.repeated(times)
        return styles.stylize(many, style), rgb, many.ink, [self._caption(w, "shapes") for w in style.words]

    def _style(self, number: int) -> styles.Style:
        """Draw styles: any mix, or all of one family."""
        alone = self.rng.random() < ALONE
        return styles.sample(self.g, number, family=self.rng.choice(list(styles.Family)) if alone else None)

    def _caption(self, style: str, content: str) -> str:
        """Put words together: style first; now and then only one of the two."""
        draw = self.rng.random()
        if draw < 0.25:
            return style
        return content if draw < 0.4 else f"{style}, {content}"


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
