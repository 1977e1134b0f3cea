"""Train the transformer and its text encoder: flow matching on the i2v route, with any subset of keyframes.

Rendering and encoding cost more than a training step, so encoded clips are kept in rings on the device, one a clip
shape, and renewed all the time while large batches are drawn from them. Classical guesses come from other processes.

Three kinds of examples: from noise, with keyframes on grey; from the source, likewise; and from the source with the
classical guess between the keyframes, whose mask says how far each pixel of the guess is trusted. The last two lie on
a line from the source to the right clip: such states are what an edit starts from.
"""

import os
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flowedit.tiny.config import SHIPPED, SMOKE, SPATIAL, TEXT_LENGTH
from flowedit.tiny.load import DIT_FILE, VAE_FILE, WEIGHTS, load_vae
from flowedit.tiny.model import build_dit, build_text_encoder
from flowedit.tiny.text import START, TinyTextEncoder, encode_prompts
from flowedit.wan import vendor
from training.estimates import Guesses
from training.feed import Feed, Order
from training.forward import block_forward, rotary_tables, velocity
from training.keyframes import slot
from training.optim import Average, Muon, learning_rate
from training.run import Run, log, save_half
from training.sequence import encode_sequence, fast_forms
from training.vae import folded_is_faster

PEAK = 1.5e-3
REPAIRS = 0.85
"""Share of the examples that show the classical guess between the keyframes, where the clip has one."""
BRIDGES = 0.35
"""Share of the other examples that start from the source."""
RENEWAL = 0.3
"""Share of the time spent on rendering and encoding."""
EMPHASIS = 3.0
"""Weight of these examples' errors, which are smaller than those of examples from noise."""
PLAIN = 0.5
"""Lessons without guesses, for every one with them."""
BUCKETS = {
    (33, 128, 128): 0.44,
    (33, 112, 144): 0.11,
    (33, 144, 112): 0.06,
    (33, 96, 176): 0.16,
    (33, 176, 96): 0.07,
    (17, 128, 128): 0.06,
    (17, 96, 176): 0.03,
    (25, 112, 144): 0.04,
    (49, 128, 128): 0.03,
}
"""Clip shapes (frames, height, width) and their shares."""
FEW = {(33, 128, 128): 0.6, (33, 96, 176): 0.25, (33, 176, 96): 0.15}
"""The shapes of a run that starts from trained weights: fewer, since each costs a search for fast convolutions."""


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
        data: tensors whose first axis counts clips: ``z0``, ``zs`` (source), ``y`` and ``mask`` (keyframes on grey),
            ``zg`` and ``trust`` (guess), ``guessed`` (whether there is one), ``ids``.
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
    """Renders lessons and encodes them into rings.

    Attributes:
        flows: examples of the flow's loss a step.
        peak: highest learning rate.
        room: clips in a ring.
    """

    flows, peak, room = 128, PEAK, 4096

    def __init__(self, run: Run, feed: Feed, vae: "vendor.WanVideoVAE", buckets: list[tuple[int, int, int]]) -> None:
        """Make room for ``capacity`` clips a shape."""
        self.run, self.feed, self.vae = run, feed, vae
        self.model = vae.model.to(run.device)
        self.mean, self.scale = (v.to(run.device).view(1, -1, 1, 1, 1) for v in vae.scale)
        self.rings = {shape: self._ring(*shape) for shape in buckets}
        smoke = run.config == "smoke"
        self.size = 4 if smoke else 8
        workers = 0 if smoke else max(1, (os.cpu_count() or 2) // run.world - 1)
        self.guesses = Guesses(workers)
        self.ahead = max(1, workers)
        self.written = {True: 0, False: 0}
        self.orders: deque[tuple[tuple[int, int, int], Order]] = deque()

    def _ring(self, frames: int, height: int, width: int) -> Ring:
        """Allocate one ring."""
        n, f = (8 if self.run.config == "smoke" else self.room), slot(frames - 1) + 1
        h, w, device = height // SPATIAL, width // SPATIAL, self.run.device
        half = partial(torch.zeros, device=device, dtype=torch.bfloat16)
        data = {name: half(n, self.vae.z_dim, f, h, w) for name in ("z0", "zs", "zg", "y")}
        data |= {"mask": half(n, 4, f, 1, 1), "trust": half(n, 4, f, h, w)}
        data["guessed"] = torch.zeros(n, dtype=torch.bool, device=device)
        return Ring({**data, "ids": torch.zeros(n, TEXT_LENGTH, dtype=torch.int64, device=device)})

    @torch.no_grad()
    def renew(self, draw: Callable[[], tuple[int, int, int]]) -> None:
        """Order lessons, and take in the oldest one whose guesses are made; now and then one without guesses.

        Args:
            draw: draws a clip shape.
        """
        for _ in range(min(2, self.ahead - len(self.orders))):
            shape = draw()
            self.orders.append((shape, self.feed.lesson(self.size, *shape, guesses=self.guesses)))
        if self.orders[0][1].ready:
            self.write(*self.orders.popleft())
        elif self.written[False] < PLAIN * self.written[True]:
            shape = draw()
            self.write(shape, self.feed.lesson(self.size, *shape))

    @torch.no_grad()
    def write(self, shape: tuple[int, int, int], order: Order) -> None:
        """Encode a lesson into the ring of its shape."""
        lesson = order.deliver()
        videos = [lesson.target, lesson.source, lesson.keys] + ([] if lesson.guess is None else [lesson.guess])
        with self.run.autocast():
            raw = torch.cat([encode_sequence(self.model, part)[0].float() for part in torch.cat(videos).split(8)])
        latents = ((raw - self.mean) * self.scale).split(len(lesson.target))
        rows = {**dict(zip(("z0", "zs", "y", "zg"), latents, strict=False)), "mask": lesson.mask, "ids": lesson.tokens}
        if lesson.trust is not None:
            rows["trust"] = lesson.trust
        rows["guessed"] = torch.full((len(lesson.target),), lesson.trust is not None)
        self.rings[shape].write(rows)
        self.written[lesson.trust is not None] += 1

    def fill(self, each: int) -> None:
        """Write some lessons of every shape, the largest part of them with guesses.

        Args:
            each: lessons a shape.
        """
        orders = []
        for shape in self.rings:
            orders += [(shape, self.feed.lesson(self.size, *shape, guesses=self.guesses)) for _ in range(each)]
        for shape, order in orders:
            self.write(shape, order)

    def learn_more(self, model: Trainee, shape: tuple[int, int, int], predict: Callable[..., Tensor]) -> None:
        """Add the gradients of other losses; there are none.

        Args:
            model: transformer and text encoder.
            shape: of the step's clips.
            predict: :func:`training.forward.velocity`, its tables given.
        """

    def reading(self) -> str:
        """What else there is to say of the steps since the last call."""
        return ""

    def batch(self, shape: tuple[int, int, int], number: int) -> dict[str, Tensor]:
        """Draw a batch, some of it with guesses where there are any.

        Returns:
            ``z0``, ``zs``, ``y`` (mask and keyframe latents, or trust and guess), ``repair`` (which of the two) and
            ``ids``.
        """
        ring, device = self.rings[shape], self.run.device
        at = torch.randint(0, ring.filled, (number,), device=device)
        z0, zs, zg, keys = (ring.data[name][at].float() for name in ("z0", "zs", "zg", "y"))
        repair = ring.data["guessed"][at] & (torch.rand(number, device=device) < REPAIRS)
        grey = torch.cat([ring.data["mask"][at].float().expand(-1, -1, -1, *z0.shape[-2:]), keys], dim=1)
        full = torch.cat([ring.data["trust"][at].float(), zg], dim=1)
        y = torch.where(_column(repair), full, grey)
        return {"z0": z0, "zs": zs, "y": y, "repair": repair, "ids": ring.data["ids"][at]}


def train_dit(run: Run, kind: type[Encoder] = Encoder) -> None:
    """Train, then write the averaged weights of the transformer and the text encoder in one file.

    Args:
        run: the run; the autoencoder is read from its folder if it is there, else from the package.
        kind: the rings that hold its examples, and say what else it learns from them.
    """
    smoke = run.config == "smoke"
    size = SMOKE if smoke else SHIPPED
    own = run.out / VAE_FILE
    vae = load_vae(own if own.is_file() else WEIGHTS / VAE_FILE, size)
    model = Trainee(build_dit(size), build_text_encoder(size))
    nn.init.zeros_(model.dit.head.head.weight)
    model.to(run.device).train()
    if run.start:
        weights = load_file(run.start / DIT_FILE)
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    if run.resume:
        model.load_state_dict(torch.load(run.resume / "dit_raw.pt", map_location=run.device, weights_only=True))
    run.same_start(model)
    torch.manual_seed(run.seed * 1000 + run.rank)
    plain = ("embedding", "head.head", "modulation", "position")
    optimiser = Muon(model.named_parameters(), plain=plain, decay=0.05)
    average = Average(model, 0.998 if run.start else 0.9995)
    if run.resume:
        optimiser.load_state_dict(torch.load(run.resume / "dit_state.pt", map_location=run.device, weights_only=True))
    feed = Feed(run.device, 100 + run.seed + run.rank, images=run.images, extra=run.extra)
    buckets = {(5, 32, 32): 0.5, (9, 32, 48): 0.5} if smoke else FEW if run.start else BUCKETS
    folded = run.device.type == "cuda" and folded_is_faster(run.device)
    with fast_forms(folded=folded, compiled=run.compiles):
        encoder = kind(run, feed, vae, list(buckets))
        _loop(run, model, encoder, buckets, (optimiser, average))
    encoder.guesses.close()
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
    batch, fill = (4, 1) if smoke else (encoder.flows, 2 if run.start else 5)
    encoder.fill(fill)
    log.info("rings filled after %.0f s", run.seconds)
    run_block = torch.compile(block_forward, dynamic=True) if run.compiles else block_forward
    tables = {shape: _tables(model.dit, shape, run) for shape in buckets}
    step, spent, began, reported, losses = 0, 0.0, time.monotonic(), time.monotonic(), []
    saved = 0
    while (progress := run.progress(step)) < 1.0:
        shape = rng.choices(list(buckets), list(buckets.values()))[0]
        if step % 4 == 0 and run.share(spent) < RENEWAL * run.share(time.monotonic() - began):
            tick = time.monotonic()
            encoder.renew(lambda: rng.choices(list(buckets), list(buckets.values()))[0])
            _wait(run)
            spent += time.monotonic() - tick
        rows = encoder.batch(shape, batch)
        predict = partial(velocity, tables=tables[shape], run_block=run_block)
        parts = loss_parts(run, model, rows, predict)
        parts.mean().backward()
        encoder.learn_more(model, shape, predict)
        rate = learning_rate(encoder.peak, progress, step=step, warmup=5 if smoke else 100 if run.start else 300)
        norm = optimiser.step(rate)
        average.update()
        losses.append(torch.stack([parts.detach()[rows["repair"] == kind].mean() for kind in (False, True)]))
        step += 1
        if time.monotonic() - reported > (2 if smoke else 15):
            reported = time.monotonic()
            clips = encoder.size * encoder.written[True]
            plain, repair = torch.stack(losses).nanmean(0).tolist()
            text = "dit step %d at %.0f %%: loss %.4f, of repairs %.4f, gradient %.2f, guesses %d%s"
            log.info(text, step, 100 * progress, plain, repair, norm, clips, encoder.reading())
            losses = []
            if run.main and int(progress * 10) > saved:
                saved = int(progress * 10)
                save_all(run, model, None, average)
    log.info("dit trained for %d steps of %d processes", step, run.world)


def loss_parts(run: Run, model: Trainee, rows: dict[str, Tensor], predict: Callable[..., Tensor]) -> Tensor:
    """Squared error of the velocity for one batch.

    Args:
        run: gives the number type.
        model: transformer and text encoder.
        rows: a batch of :meth:`Encoder.batch`.
        predict: :func:`training.forward.velocity`, its tables given.

    Returns:
        One number an example.
    """
    z0, ids, repair = rows["z0"], rows["ids"].clone(), rows["repair"]
    n, device = len(z0), z0.device
    ids[torch.rand(n, device=device) < 0.15, 1:] = 0
    ids[:, 0] = START
    sigma, start = draw_levels(repair)
    slope = (1 - start) / start
    noise, s, lean = torch.randn_like(z0), _column(sigma), _column(slope)
    off = rows["zs"] - z0
    noisy = (1 - s) * z0 + s * noise + s * lean * off
    wanted = noise - z0 + lean * off
    with run.autocast():
        context = encode_prompts(model.text, ids, (ids > 0).long())
        found = predict(model.dit, noisy, sigma, (context, rows["y"])).float()
    weight = torch.where(repair, EMPHASIS, 1.0) / (1 + slope**2)
    return (found - wanted).pow(2).mean((1, 2, 3, 4)) * weight


def draw_levels(repair: Tensor) -> tuple[Tensor, Tensor]:
    """Draw noise levels, and where the edits start that pass through them.

    Args:
        repair: ``(n,)`` bool, which examples show the guess; these start from the source at a low level, mostly near
            their first step, since a few steps are enough to repair a guess.

    Returns:
        ``(n,)`` levels in (0, 1), and the levels at which the edit is still the noised source; 1 where there is no
        source.
    """
    n, device = len(repair), repair.device
    even, high, kind = (torch.rand(n, device=device) for _ in range(3))
    spread = (torch.arange(n, device=device) + torch.rand(n, device=device)) / n
    sigma = 2.5 * spread / (1 + 1.5 * spread)
    bridge = (kind < BRIDGES) & ~repair
    sigma = torch.where(bridge, 0.02 + 0.96 * even, sigma)
    low = sigma.clamp(min=0.35)
    start = torch.where(bridge, low + (1 - low) * high, 1.0)
    first = 0.15 + 0.5 * high
    near = torch.where(kind < 0.5, 1.0, even.sqrt())
    return torch.where(repair, first * near, sigma), torch.where(repair, first, start)


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
