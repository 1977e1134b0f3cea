"""Train the repair of a guess on the pixels that an edit ends with: one step, decoded, laid on the guess.

The flow's own loss weighs every latent number alike; what an edit shows is the decoded change, where the guess is in
doubt. So this run goes the whole way of the default preset, from the noised source to the laid repair, and its
gradients come back through the frozen decoder. The flow's loss goes on beside it, so that what was learnt stays.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from flowedit.methods.refine import lay_change
from flowedit.preparation import sigma_grid
from flowedit.presets import preset_settings
from flowedit.tiny.text import START, encode_prompts
from flowedit.wan import vendor
from flowedit.wan.checkpoints import TINY
from training.dit import Encoder, Ring, Trainee, train_dit
from training.feed import Feed, Order
from training.run import Run
from training.sequence import decode_sequence

Shape = tuple[int, int, int]
"""Frames, height and width of a clip."""
FIRST = sigma_grid(preset_settings(TINY))[0]
"""The level at which the default preset takes its one step."""
ELSEWHERE, HIGHEST = 0.3, 0.45
"""Share of the examples at other levels, from half of the first one up, and the highest of them."""
FLOOR = 5e-5
"""Added to the squared error of a frame, whose scale is white = 1: errors smaller than that of 43 dB hardly count."""
WEIGHT = 0.15
"""Of this loss beside the flow's."""
CLIPS = 8
"""Clips decoded a step."""


class RepairEncoder(Encoder):
    """Rings whose clips also hold what an edit ends with: the guess, where its repair is laid, and the truth."""

    flows, peak, room = 64, 6e-4, 2048

    def __init__(self, run: Run, feed: Feed, vae: "vendor.WanVideoVAE", buckets: list[Shape]) -> None:
        """Make room for clips and their pixels; the autoencoder learns nothing."""
        super().__init__(run, feed, vae, buckets)
        self.model.requires_grad_(requires_grad=False)
        self.gains: list[Tensor] = []

    @torch.no_grad()
    def write(self, shape: Shape, order: Order) -> None:
        """Encode a lesson into the ring of its shape, and keep its pixels."""
        lesson, ring = order.deliver(), self.rings[shape]
        at = (torch.arange(len(lesson.target)) + ring.next) % len(ring.data["ids"])
        super().write(shape, Order(lesson, [], order.keys))
        if lesson.guess is None or lesson.share is None or lesson.agreement is None:
            return
        ring.data["truth"][at] = _levels(lesson.target)
        ring.data["guess"][at] = _levels(lesson.guess)
        ring.data["share"][at] = (lesson.share * 255).round().to(torch.uint8)
        ring.data["agreement"][at] = lesson.agreement
        drawn = [self.decode(part.float()) for part in ring.data["zg"][at].split(4)]
        ring.data["drawn"][at] = torch.cat(drawn).to(torch.bfloat16)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode normalised latents, ``(b, z, f, h, w)`` to ``(b, 3, T, H, W)``."""
        with self.run.autocast():
            return decode_sequence(self.model, latents / self.scale + self.mean).float()

    def learn_more(self, model: Trainee, shape: Shape, predict: Callable[..., Tensor]) -> None:
        """Add the gradient of the finished repairs' error."""
        ring = self.rings[shape]
        likely = ring.data["guessed"][: ring.filled].float()
        at = torch.multinomial(likely, 2 if self.run.config == "smoke" else CLIPS, replacement=True)
        before, after = repair_errors(self, model, {name: value[at] for name, value in ring.data.items()}, predict)
        (WEIGHT * after.log().mean()).backward()
        self.gains.append((before.log() - after.detach().log()).mean())

    def reading(self) -> str:
        """What the repairs gain over their guesses, in dB."""
        gain = 10 / math.log(10) * torch.stack(self.gains).mean().item()
        self.gains.clear()
        return f", repairs gain {gain:.3f} dB"

    def _ring(self, frames: int, height: int, width: int) -> Ring:
        """Add room for pixels."""
        ring = super()._ring(frames, height, width)
        n = len(ring.data["ids"])
        byte = partial(torch.zeros, device=self.run.device, dtype=torch.uint8)
        ring.data |= {name: byte(n, 3, frames, height, width) for name in ("truth", "guess")}
        ring.data["share"] = byte(n, frames, height, width)
        ring.data["agreement"] = torch.zeros(n, device=self.run.device)
        ring.data["drawn"] = torch.zeros(n, 3, frames, height, width, device=self.run.device, dtype=torch.bfloat16)
        return ring


def train_repair(run: Run) -> None:
    """Train, then write the averaged weights as `training.dit.train_dit` does.

    Args:
        run: the run; begins best from weights that repair already (``start``).
    """
    train_dit(run, RepairEncoder)


def repair_errors(
    encoder: RepairEncoder, model: Trainee, rows: dict[str, Tensor], predict: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    """Squared errors of guesses and of their repairs, as the default preset makes them.

    Args:
        encoder: decodes.
        model: transformer and text encoder.
        rows: of a ring: ``zs``, ``zg``, ``trust``, ``ids``, ``guess``, ``drawn``, ``share``, ``agreement``, ``truth``.
        predict: :func:`training.forward.velocity`, its tables given.

    Returns:
        Both ``(b, T)``, white = 1, `FLOOR` added; the second has a gradient.
    """
    zs, ids = rows["zs"].float(), rows["ids"].clone()
    n, device = len(zs), zs.device
    ids[torch.rand(n, device=device) < 0.15, 1:] = 0
    ids[:, 0] = START
    other = torch.rand(n, device=device) * (HIGHEST - FIRST / 2) + FIRST / 2
    sigma = torch.where(torch.rand(n, device=device) < ELSEWHERE, other, torch.full_like(other, FIRST))
    s = sigma.view(-1, 1, 1, 1, 1)
    noisy = (1 - s) * zs + s * torch.randn_like(zs)
    shown = torch.cat([rows["trust"], rows["zg"]], dim=1).float()
    with encoder.run.autocast():
        context = encode_prompts(model.text, ids, (ids > 0).long())
        repaired = noisy - s * predict(model.dit, noisy, sigma, (context, shown)).float()
    guess, truth = (rows[name].float() / 127.5 - 1 for name in ("guess", "truth"))
    edited = (guess + encoder.decode(repaired) - rows["drawn"].float()).clamp(-1, 1)
    share = (rows["share"].float() / 255).unsqueeze(1)
    final = lay_change(guess, edited, share, rows["agreement"])
    before, after = ((video - truth).div(2).pow(2).mean((1, 3, 4)) + FLOOR for video in (guess, final))
    return before, after


def _levels(video: Tensor) -> Tensor:
    """8-bit levels of a video in [-1, 1]."""
    return ((video + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
