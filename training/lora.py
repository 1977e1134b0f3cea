"""Train the LoRA for joint keyframe tokens: everything but its low-rank changes is frozen.

An example is a clip with the tokens of one to five keyframes after it, at the temporal positions of their slots, on the
clip's own noise and level, as edits have them. Where the clip lies on the line between noise and the answer, the tokens
hardly differ from it; what they say is read where the clip comes from a source. So more than half of the examples do.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flowedit.errors import SettingError
from flowedit.tiny.config import SHIPPED, SMOKE
from flowedit.tiny.load import DIT_FILE, VAE_FILE, WEIGHTS, load_transformer, load_vae
from flowedit.tiny.lora import LORA_FILE, RANK, attach, from_file, to_file
from flowedit.tiny.text import START, encode_prompts
from training.dit import BUCKETS, Trainee
from training.feed import Feed
from training.forward import Tables, block_forward, rotary_tables, velocity
from training.optim import Average, average_gradients, learning_rate
from training.replay import KeyEncoder, Shape, at_slots, column
from training.run import Run, log, save_half
from training.sequence import fast_forms
from training.vae import folded_is_faster

PEAK = 1e-3
BRIDGES = 0.6
"""Share of the examples that start from the source."""
IMAGES = 0.3
"""Share of the batches that also show keyframe images on the i2v route (conditioning ``both``)."""
KEY_WEIGHT = 0.3
"""Weight of the error of the keyframes' own velocities."""
RENEWAL = 0.3
"""Share of the time spent on rendering and encoding."""


def joint_tables(dit: Any, slots: Tensor, size: tuple[int, int, int]) -> Tables:  # noqa: ANN401 - the vendor's
    """Rotary tables of clips with keyframe tokens after them, at the shared positions of their slots.

    Args:
        dit: the transformer.
        slots: ``(b, n)``.
        size: slots, rows and columns of the clip's latents.

    Returns:
        Cosine and sine, each ``(b, tokens, 1, head_dim / 2)``.
    """
    f, h, w = size
    frames = torch.cat([torch.arange(f, device=slots.device).expand(len(slots), f), slots], dim=1)
    cosine, sine = rotary_tables(dit, frames.flatten(), h // 2, w // 2)
    return cosine.unflatten(0, (len(slots), -1)), sine.unflatten(0, (len(slots), -1))


def draw_levels(number: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw noise levels, and where the edits start that pass through them.

    Returns:
        ``(n,)`` levels in (0, 1), and the levels at which the edit is still the noised source; 1 for examples without.
    """
    even, high, kind = (torch.rand(number, device=device) for _ in range(3))
    bridge = kind < BRIDGES
    sigma = torch.where(bridge, 0.02 + 0.96 * even, 2.5 * even / (1 + 1.5 * even)).clamp(min=1e-3)
    low = sigma.clamp(min=0.35)
    return sigma, torch.where(bridge, low + (1 - low) * high, 1.0)


def loss_parts(run: Run, model: Trainee, rows: dict[str, Tensor], predict: Callable[..., Tensor]) -> Tensor:
    """Squared error of the joint velocity for one batch.

    Args:
        run: gives the number type.
        model: transformer and text encoder.
        rows: a batch of :meth:`KeyEncoder.batch`.
        predict: :func:`training.forward.velocity`, its tables given.

    Returns:
        One number an example.
    """
    z0, key, slots, ids = rows["z0"], rows["key"], rows["slots"], rows["ids"].clone()
    n, f, device = len(z0), z0.shape[2], z0.device
    ids[torch.rand(n, device=device) < 0.15, 1:] = 0
    ids[:, 0] = START
    sigma, start = draw_levels(n, device)
    slope = (1 - start) / start
    noise, s, lean = torch.randn_like(z0), column(sigma), column(slope)
    noise_key, off = at_slots(noise, slots), rows["zs"] - z0
    noisy = torch.cat([(1 - s) * z0 + s * noise + s * lean * off, (1 - s) * key + s * noise_key], dim=2)
    wanted = torch.cat([noise - z0 + lean * off, noise_key - key], dim=2)
    with run.autocast():
        with torch.no_grad():
            context = encode_prompts(model.text, ids, (ids > 0).long())
        y = torch.cat([rows["y"], at_slots(rows["y"], slots)], dim=2)
        found = predict(model.dit, noisy, sigma, (context, y)).float()
    error = (found - wanted).pow(2)
    return error[:, :, :f].mean((1, 2, 3, 4)) / (1 + slope**2) + KEY_WEIGHT * error[:, :, f:].mean((1, 2, 3, 4))


def train_lora(run: Run) -> None:
    """Train, and write the averaged LoRA: now and then, so that a run that is cut off leaves one, and at the end.

    Args:
        run: the run; the autoencoder and the transformer are read from its folder if they are there, else from the
            package. ``start`` is a folder with an earlier LoRA to begin with.

    Raises:
        SettingError: ``resume`` was given.
        ModelError: weights are missing or do not fit.
    """
    if run.resume:
        raise SettingError("The LoRA keeps no optimiser's state to resume from. Use --start to begin with its weights.")
    size = SMOKE if run.config == "smoke" else SHIPPED
    vae = load_vae(_own(run, VAE_FILE), size)
    model = Trainee(*load_transformer(_own(run, DIT_FILE), size)).to(run.device).requires_grad_(requires_grad=False)
    torch.manual_seed(run.seed)
    changes = attach(model.dit, RANK if size is SHIPPED else 4)
    if run.start:
        state = load_file(run.start / LORA_FILE)
        changes.load_state_dict({name: value.float() for name, value in from_file(state).items()})
    run.same_start(changes)
    torch.manual_seed(run.seed * 1000 + run.rank)
    feed = Feed(run.device, 200 + run.seed + run.rank, images=run.images, extra=run.extra)
    buckets = {(5, 32, 32): 0.5, (9, 32, 48): 0.5} if size is SMOKE else BUCKETS
    folded = run.device.type == "cuda" and folded_is_faster(run.device)
    with fast_forms(folded=folded, compiled=run.compiles):
        encoder = KeyEncoder(run, feed, vae, list(buckets))
        try:
            average = _loop(run, model, encoder, buckets, changes)
        finally:
            encoder.guesses.close()
    if run.main:
        _save(run, average)


def _loop(
    run: Run, model: Trainee, encoder: KeyEncoder, buckets: dict[Shape, float], changes: nn.ModuleDict
) -> Average:
    """Renew, draw, step, until the time is over; the averaged changes, written at every report too."""
    smoke, rng, weights = run.config == "smoke", random.Random(run.seed), list(changes.parameters())
    average = Average(changes, 0.999)
    optimiser = torch.optim.AdamW(weights, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
    encoder.fill(1 if smoke else 5)
    log.info("rings filled after %.0f s", run.seconds)
    grey = {shape: encoder.grey(shape) for shape in buckets}
    run_block = torch.compile(block_forward, dynamic=True) if run.compiles else block_forward

    def draw() -> Shape:
        return rng.choices(list(buckets), list(buckets.values()))[0]

    step, spent, began, reported, losses = 0, 0.0, time.monotonic(), time.monotonic(), []
    while (progress := run.progress(step)) < 1.0:
        shape = draw()
        if step % 4 == 0 and run.share(spent) < RENEWAL * run.share(time.monotonic() - began):
            tick = time.monotonic()
            encoder.renew(draw)
            _wait(run)
            spent += time.monotonic() - tick
        rows = encoder.batch(shape, 4 if smoke else 128)
        if rng.random() >= IMAGES:
            rows["y"] = grey[shape].expand(len(rows["y"]), -1, -1, -1, -1)
        tables = joint_tables(model.dit, rows["slots"], _size(rows["z0"]))
        parts = loss_parts(run, model, rows, partial(velocity, tables=tables, run_block=run_block))
        parts.mean().backward()
        norm = average_gradients(weights, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(PEAK, progress, step=step, warmup=5 if smoke else 100)
        optimiser.step()
        optimiser.zero_grad()
        average.update()
        losses.append(parts.detach().mean())
        step += 1
        if time.monotonic() - reported > (2 if smoke else 15):
            reported = time.monotonic()
            loss, losses = torch.stack(losses).mean(), []
            log.info("lora step %d at %.0f %%: loss %.4f, gradient %.2f", step, 100 * progress, loss, norm)
            if run.main:
                _save(run, average)
    log.info("lora trained for %d steps of %d processes", step, run.world)
    return average


def _save(run: Run, average: Average) -> None:
    """Write the averaged changes in diffsynth's format."""
    about = {"format": "pt", "steps": str(average.seen), "base": DIT_FILE}
    save_half(to_file(average.shadow), run.out / LORA_FILE, about)


def _own(run: Run, name: str) -> Any:  # noqa: ANN401
    """The run's own file if there is one, else the package's."""
    return run.out / name if (run.out / name).is_file() else WEIGHTS / name


def _size(latents: Tensor) -> tuple[int, int, int]:
    """Slots, rows and columns of latents."""
    f, h, w = latents.shape[2:]
    return f, h, w


def _wait(run: Run) -> None:
    """Wait for the device, so that the clock is true."""
    if run.device.type == "cuda":
        torch.cuda.synchronize()
