"""Train the transformer and its text encoder: flow matching on the i2v route, with any subset of keyframes.

Rendering and encoding cost more than a training step, so encoded clips are kept in rings on the device, one a clip
shape, and renewed all the time while large batches are drawn from them.

Four examples in ten do not start on the straight line between noise and the clip itself: they lie on a line from
another version of the clip (another style, a part of the style, imperfectly propagated keyframes) to the right one.
Such states are what an edit starts from, and the model learns to lead them to the clip that the keyframes ask for.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from flowedit.tiny.config import SHIPPED, SMOKE, SPATIAL, TEXT_LENGTH
from flowedit.tiny.feed import Feed
from flowedit.tiny.forward import block_forward, rotary_tables, velocity
from flowedit.tiny.keyframes import slot
from flowedit.tiny.load import DIT_FILE, VAE_FILE, WEIGHTS, load_vae
from flowedit.tiny.model import build_dit, build_text_encoder
from flowedit.tiny.optim import Average, Muon, learning_rate
from flowedit.tiny.run import Run, log, save_half
from flowedit.tiny.sequence import encode_sequence, fast_forms
from flowedit.tiny.text import START, TinyTextEncoder, encode_prompts
from flowedit.tiny.train_vae import folded_is_faster
from flowedit.wan import vendor

PEAK = 1.5e-3
BRIDGES = 0.4
"""Share of the examples that start from an imperfect clip."""
RENEWAL = 0.35
"""Share of the time spent on rendering and encoding."""
BUCKETS = {
    (33, 128, 128): 0.34,
    (33, 112, 144): 0.13,
    (33, 144, 112): 0.07,
    (33, 96, 176): 0.16,
    (33, 176, 96): 0.08,
    (17, 128, 128): 0.08,
    (17, 96, 176): 0.04,
    (25, 112, 144): 0.05,
    (49, 128, 128): 0.05,
}
"""Clip shapes (frames, height, width) and their shares."""


class Trainee(nn.Module):
    """What is trained together: the transformer and its text encoder."""

    def __init__(self, dit: "vendor.WanModel", text: TinyTextEncoder) -> None:
        """Hold both parts."""
        super().__init__()
        self.dit, self.text = dit, text


@dataclass
class Ring:
    """Encoded clips of one shape.

    Attributes:
        data: tensors whose first axis counts clips: ``z0``, ``zc`` (imperfect), ``y`` (two keyframe latents), ``mask``
            (two), ``ids``.
        filled: clips written so far, at most the capacity.
        next: where the next clip goes.
    """

    data: dict[str, Tensor]
    filled: int = 0
    next: int = 0

    def write(self, rows: dict[str, Tensor]) -> None:
        """Put clips in, over the oldest ones."""
        capacity = len(self.data["ids"])
        at = (torch.arange(len(rows["ids"])) + self.next) % capacity
        for name, value in rows.items():
            self.data[name][at] = value.to(self.data[name])
        self.next = (self.next + len(at)) % capacity
        self.filled = min(self.filled + len(at), capacity)


class Encoder:
    """Renders lessons and encodes them into rings."""

    def __init__(self, run: Run, feed: Feed, vae: "vendor.WanVideoVAE", buckets: list[tuple[int, int, int]]) -> None:
        """Make room for ``capacity`` clips a shape."""
        self.run, self.feed, self.vae = run, feed, vae
        self.model = vae.model.to(run.device)
        self.mean, self.scale = (v.to(run.device).view(1, -1, 1, 1, 1) for v in vae.scale)
        self.rings = {shape: self._ring(*shape) for shape in buckets}
        self.size = 2 if run.config == "smoke" else 8

    def _ring(self, frames: int, height: int, width: int) -> Ring:
        """Allocate one ring."""
        n, f = (8 if self.run.config == "smoke" else 3072), slot(frames - 1) + 1
        shape, device = (self.vae.z_dim, f, height // SPATIAL, width // SPATIAL), self.run.device
        half = partial(torch.zeros, device=device, dtype=torch.bfloat16)
        data = {"z0": half(n, *shape), "zc": half(n, *shape), "y": half(n, 2, *shape), "mask": half(n, 2, 4, f)}
        return Ring({**data, "ids": torch.zeros(n, TEXT_LENGTH, dtype=torch.int64, device=device)})

    @torch.no_grad()
    def renew(self, shape: tuple[int, int, int]) -> None:
        """Render and encode a few new clips of a shape."""
        lesson = self.feed.lesson(self.size, *shape)
        videos = torch.cat([lesson.target, lesson.imperfect, *lesson.keys])
        with self.run.autocast():
            raw = torch.cat([encode_sequence(self.model, part)[0].float() for part in videos.split(8)])
        z0, zc, first, second = ((raw - self.mean) * self.scale).chunk(4)
        masks = torch.stack([m[..., 0, 0] for m in lesson.masks], dim=1)
        rows = {"z0": z0, "zc": zc, "y": torch.stack([first, second], dim=1), "mask": masks, "ids": lesson.tokens}
        self.rings[shape].write(rows)

    def batch(self, shape: tuple[int, int, int], number: int) -> dict[str, Tensor]:
        """Draw a batch, one of the two keyframe sets each.

        Returns:
            ``z0``, ``zc``, ``y`` (mask and keyframe latents) and ``ids``.
        """
        ring, device = self.rings[shape], self.run.device
        at = torch.randint(0, ring.filled, (number,), device=device)
        which = torch.randint(0, 2, (number,), device=device)
        z0 = ring.data["z0"][at].float()
        mask = ring.data["mask"][at, which].float()[..., None, None].expand(-1, -1, -1, *z0.shape[-2:])
        y = torch.cat([mask, ring.data["y"][at, which].float()], dim=1)
        return {"z0": z0, "zc": ring.data["zc"][at].float(), "y": y, "ids": ring.data["ids"][at]}


def train_dit(run: Run) -> None:
    """Train, then write the averaged weights of the transformer and the text encoder in one file.

    Args:
        run: the run; the autoencoder is read from its folder if it is there, else from the package.
    """
    smoke = run.config == "smoke"
    size = SMOKE if smoke else SHIPPED
    own = run.out / VAE_FILE
    vae = load_vae(own if own.is_file() else WEIGHTS / VAE_FILE, size)
    model = Trainee(build_dit(size), build_text_encoder(size))
    nn.init.zeros_(model.dit.head.head.weight)
    model.to(run.device).train()
    if run.resume:
        model.load_state_dict(torch.load(run.resume / "dit_raw.pt", map_location=run.device, weights_only=True))
    run.same_start(model)
    torch.manual_seed(run.seed * 1000 + run.rank)
    plain = ("embedding", "head.head", "modulation", "position")
    optimiser = Muon(model.named_parameters(), plain=plain, decay=0.05)
    average = Average(model, 0.9995)
    if run.resume:
        optimiser.load_state_dict(torch.load(run.resume / "dit_state.pt", map_location=run.device, weights_only=True))
    feed = Feed(run.device, 100 + run.seed + run.rank, images=run.images, extra=run.extra)
    buckets = {(5, 32, 32): 0.5, (9, 32, 48): 0.5} if smoke else BUCKETS
    folded = run.device.type == "cuda" and folded_is_faster(run.device)
    with fast_forms(folded=folded, compiled=run.compiles):
        encoder = Encoder(run, feed, vae, list(buckets))
        _loop(run, model, encoder, buckets, (optimiser, average))
    if run.main:
        save_all(run, model, optimiser, average)


def _loop(
    run: Run,
    model: Trainee,
    encoder: Encoder,
    buckets: dict[tuple[int, int, int], float],
    tools: tuple[Muon, Average],
) -> None:
    """Renew, draw, step, until the time is over."""
    optimiser, average = tools
    smoke = run.config == "smoke"
    rng = random.Random(run.seed)
    batch, fill = (4, 1) if smoke else (128, 6)
    for shape in buckets:
        for _ in range(fill):
            encoder.renew(shape)
    log.info("rings filled after %.0f s", run.seconds)
    run_block = torch.compile(block_forward, dynamic=True) if run.compiles else block_forward
    tables = {shape: _tables(model.dit, shape, run) for shape in buckets}
    step, spent, began, reported, losses = 0, 0.0, time.monotonic(), time.monotonic(), []
    saved = 0
    while (progress := run.progress(step)) < 1.0:
        shape = rng.choices(list(buckets), list(buckets.values()))[0]
        if step % 4 == 0 and run.share(spent) < RENEWAL * run.share(time.monotonic() - began):
            tick = time.monotonic()
            encoder.renew(rng.choices(list(buckets), list(buckets.values()))[0])
            _wait(run)
            spent += time.monotonic() - tick
        parts = loss_parts(
            run, model, encoder.batch(shape, batch), partial(velocity, tables=tables[shape], run_block=run_block)
        )
        parts.mean().backward()
        norm = optimiser.step(learning_rate(PEAK, progress, step=step, warmup=5 if smoke else 300))
        average.update()
        losses.append(parts.detach().mean())
        step += 1
        if time.monotonic() - reported > (2 if smoke else 15):
            reported = time.monotonic()
            clips = sum(ring.filled for ring in encoder.rings.values())
            loss = torch.stack(losses).mean()
            log.info(
                "dit step %d at %.0f %%: loss %.4f, gradient %.2f, clips %d", step, 100 * progress, loss, norm, clips
            )
            losses = []
            if run.main and int(progress * 5) > saved:
                saved = int(progress * 5)
                save_all(run, model, None, average)
    log.info("dit trained for %d steps of %d processes", step, run.world)


def loss_parts(run: Run, model: Trainee, rows: dict[str, Tensor], predict: Callable[..., Tensor]) -> Tensor:
    """Squared error of the velocity for one batch.

    Args:
        run: gives the number type.
        model: transformer and text encoder.
        rows: a batch of :meth:`Encoder.batch`.
        predict: :func:`flowedit.tiny.forward.velocity`, its tables given.

    Returns:
        One number an example.
    """
    z0, ids = rows["z0"], rows["ids"].clone()
    n, device = len(z0), z0.device
    ids[torch.rand(n, device=device) < 0.15, 1:] = 0
    ids[:, 0] = START
    sigma = (torch.arange(n, device=device) + torch.rand(n, device=device)) / n
    sigma = 2.5 * sigma / (1 + 1.5 * sigma)
    bridge = torch.rand(n, device=device) < BRIDGES
    even = torch.rand(n, device=device)
    sigma = torch.where(bridge, 0.02 + 0.96 * even, sigma)
    low = sigma.clamp(min=0.35)
    start = low + (1 - low) * torch.rand(n, device=device)
    slope = torch.where(bridge, (1 - start) / start, 0.0)
    noise, s, lean = torch.randn_like(z0), _column(sigma), _column(slope)
    off = rows["zc"] - z0
    noisy = (1 - s) * z0 + s * noise + s * lean * off
    wanted = noise - z0 + lean * off
    with run.autocast():
        context = encode_prompts(model.text, ids, (ids > 0).long())
        found = predict(model.dit, noisy, sigma, (context, rows["y"])).float()
    return (found - wanted).pow(2).mean((1, 2, 3, 4)) / (1 + slope**2)


def save_all(run: Run, model: Trainee, optimiser: Muon | None, average: Average) -> None:
    """Write the averaged weights, and at the end what a resumed run needs.

    Args:
        run: says where.
        model: the raw weights.
        optimiser: its state; without it only the averaged weights are written.
        average: the averaged weights.
    """
    save_half(average.shadow, run.out / DIT_FILE, {"format": "pt", "steps": str(average.seen)})
    if optimiser is not None:
        torch.save(optimiser.state_dict(), run.out / "dit_state.pt")
        torch.save(model.state_dict(), run.out / "dit_raw.pt")


def _tables(dit: "vendor.WanModel", shape: tuple[int, int, int], run: Run) -> tuple[Tensor, Tensor]:
    """Rotary tables of a clip shape."""
    frames, height, width = shape
    positions = torch.arange(slot(frames - 1) + 1, device=run.device)
    return rotary_tables(dit, positions, height // (2 * SPATIAL), width // (2 * SPATIAL))


def _column(value: Tensor) -> Tensor:
    """Give ``(n,)`` the axes of latents."""
    return value.view(-1, 1, 1, 1, 1)


def _wait(run: Run) -> None:
    """Wait for the device, so that the clock is true."""
    if run.device.type == "cuda":
        torch.cuda.synchronize()
