"""What the weights do in the method itself, on validation scenes, many at once: a minute's reading beside the loss.

``python -m training.validate --weights DIR --photographs DIR --extra-world FILE``. The benchmark is slower and decides.
"""

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from flowedit.edit.preparation import sigma_grid
from flowedit.presets import preset_settings
from flowedit.tiny.config import TEXT_LENGTH
from flowedit.tiny.load import DIT_FILE, VAE_FILE, WEIGHTS, load_transformer, load_vae
from flowedit.tiny.splits import Split, generator
from flowedit.tiny.style import stylize
from flowedit.tiny.text import START
from flowedit.tiny.world import Clip, render, sample_scene
from flowedit.wan.checkpoints import TINY
from training.dit import Trainee, joint_tables
from training.examples import shown_frames
from training.families import sample
from training.forward import encode_prompts, velocity
from training.keyframes import Lesson, at_slots, lay_out
from training.lessons import Lessons, load_world, to_model
from training.loop import Run
from training.natural import HELD_OUT, load_images, natural_scene
from training.replay import Replay
from training.styles import keyframe_errors

KEYFRAMES = [0, 16, 32]
FAR = [i for i in range(33) if min(abs(i - k) for k in KEYFRAMES) >= 4]
"""Frames at least 4 from a keyframe."""


class Route(NamedTuple):
    """How keyframes are shown.

    Attributes:
        images: as images, at their pixel frames.
        tokens: as tokens.
        source: share of the clips that show the source between the images, the rest grey.
        shared: whether tokens stand at their slots' positions; else they are numbered on after the clip.
    """

    images: bool
    tokens: bool
    source: float
    shared: bool = True


ROWS = {
    "images, grey": Route(images=True, tokens=False, source=0.0),
    "images, source": Route(images=True, tokens=False, source=1.0),
    "tokens, grey": Route(images=False, tokens=True, source=0.0),
    "tokens, grey, appended": Route(images=False, tokens=True, source=0.0, shared=False),
    "tokens, source": Route(images=False, tokens=True, source=1.0),
    "both, grey": Route(images=True, tokens=True, source=0.0),
    "both, source": Route(images=True, tokens=True, source=1.0),
}


def scenes(extra: Path | None, number: int = 12) -> dict[str, tuple[Clip, Tensor]]:
    """Clips and their styled answers, by world; seeds and styles that no training sees.

    Args:
        extra: file of the reference world.
        number: of clips a world.
    """
    g, found = generator(Split.VALIDATION, 77), {}
    own = render(sample_scene(g, number, 33), 128, 128)
    pictures = load_images(list(HELD_OUT)).repeat_interleave(number // 2, 0)
    photographs = render(natural_scene(g, pictures, 33), 128, 128)
    for name, clip in (("own world", own), ("photographs", photographs)):
        found[name] = clip, stylize(clip, sample(g, number, Split.VALIDATION))
    if extra:
        world, g = load_world(extra), torch.Generator().manual_seed(11)
        rgb, ink, _ = world.render(number, 33, g)
        clip = Clip(rgb, ink, torch.zeros_like(ink, dtype=torch.int64), rgb[:, :, :2], [""] * number)
        found["reference world"] = clip, world.stylize(rgb, ink, world.sample_style(number, g, 0.0, strong=True))
    return found


class Method:
    """The preset ``method`` without a correction, on many clips of one size at once."""

    def __init__(self, run: Run, model: Trainee, replay: Replay) -> None:
        """Hold the model and what encodes for it."""
        self.run, self.model, self.replay = run, model, replay
        self.sigmas = sigma_grid(preset_settings(TINY, "method"))

    def shown(self, lesson: Lesson) -> dict[str, Tensor]:
        """Encode a lesson's clips and keyframes."""
        rows = self.replay.encoded(lesson)
        return {name: value.float() if value.is_floating_point() else value for name, value in rows.items()}

    @torch.no_grad()
    def edit(self, target: Lesson, source: Lesson, route: Route) -> Tensor:
        """Edit clips by `difference`, and lay the decoded change on the source: ``(b, 3, T, H, W)`` in [-1, 1]."""
        to, of = self.shown(target), self.shown(source)
        zs = of["zs"]
        noise = torch.randn(zs.shape, generator=torch.Generator().manual_seed(0)).to(zs)
        z = zs
        for s, after in pairwise(self.sigmas):
            x = (1 - s) * zs + s * noise
            v_target = self._velocity(to, x + z - zs, noise, s, route)
            z = z + (after - s) * (v_target - self._velocity(of, x, noise, s, route))
        parts = [self.replay.decode(a) - self.replay.decode(b) for a, b in zip(z.split(4), zs.split(4), strict=True)]
        return (source.source + torch.cat(parts)).clamp(-1, 1)

    def _velocity(self, rows: dict[str, Tensor], x: Tensor, noise: Tensor, s: float, route: Route) -> Tensor:
        """The model's velocity of the clip; the keyframes' slots come first in the rows, in random order."""
        none = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        blank = self.replay.blank[(33, 128, 128)]
        shown = shown_frames(rows, blank, none, images=route.images, source=route.source)
        count, frames = len(KEYFRAMES) if route.tokens else 0, x.shape[2]
        slots, order = rows["slots"][:, :count].sort(1)
        key = at_slots((at_slots(rows["zs"], rows["slots"]) + rows["change"])[:, :, :count], order)
        state = torch.cat([x, (1 - s) * key + s * at_slots(noise, slots)], dim=2)
        shown = torch.cat([shown, at_slots(shown, slots)], dim=2)
        after = torch.arange(frames, frames + count, device=x.device).expand_as(slots)
        tables = joint_tables(self.model.dit, slots if route.shared else after, x.shape[2:])
        ids = torch.zeros(len(x), TEXT_LENGTH, dtype=torch.int64, device=x.device)
        ids[:, 0] = START
        with self.run.autocast():
            context = encode_prompts(self.model.text, ids, (ids > 0).long())
            sigma = torch.full((len(x),), s, device=x.device)
            found = velocity(self.model.dit, state, sigma, (context, shown), tables=tables)
        return found[:, :, :frames].float()


def psnr(truth: Tensor, other: Tensor, frames: list[int]) -> float:
    """Mean PSNR over clips and frames, each frame at most 40 dB."""
    error = (truth - other).div(2)[:, :, frames].square().mean((1, 3, 4))
    return float((-10 * torch.log10(error + 1e-4)).mean())


def main(arguments: list[str] | None = None) -> int:
    """Print a table of PSNR, far from and at keyframes.

    Args:
        arguments: of the command line, the program's own by default.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m training.validate", description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--photographs", type=Path, default=Path("photographs"))
    parser.add_argument("--extra-world", type=Path)
    parser.add_argument("--scenes", type=int, default=12)
    given = parser.parse_args(arguments)
    run = Run.begin({"out": given.weights, "steps": 1, "plain": True})
    model = Trainee(*load_transformer(given.weights / DIT_FILE)).to(run.device).eval()
    lessons = Lessons(run.device, 5, given.photographs)
    method = Method(run, model, Replay(run, lessons, load_vae(given.weights / VAE_FILE), [(33, 128, 128)], workers=0))
    for name, (clip, answer) in scenes(given.extra_world, given.scenes).items():
        for kind, share in (("exact", 0.0), ("disagreeing", 1.0)):
            errors = torch.Generator().manual_seed(5)
            styled = keyframe_errors(errors, answer, clip.ink, share)
            target, source, styled = (to_model(v).to(run.device) for v in (answer, clip.rgb, styled))
            keys, ids = [KEYFRAMES] * len(target), torch.zeros(len(target), TEXT_LENGTH, dtype=torch.int64)
            edits = lay_out(target, source, styled, keys, ids), lay_out(source, source, source, keys, ids)
            texts = [f"source {psnr(target, source, FAR):.2f}"]
            for label, route in ROWS.items():
                found = method.edit(*edits, route)
                texts.append(f"{label} {psnr(target, found, FAR):.2f} / {psnr(target, found, KEYFRAMES):.2f}")
            sys.stdout.write(f"{name}, {kind}: {'; '.join(texts)}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
