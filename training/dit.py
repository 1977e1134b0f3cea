"""Train the transformer and its text encoder: flow matching on every route by which an edit shows keyframes.

A step's batch shows keyframes as tokens at the shared positions of their slots, as images, or as both. Between the
images stands the source itself, or a classical estimate with its confidence in the mask. Most examples lie where edits
pass: off the line between noise and the answer, towards the source that the edit began from, nearer at the slots where
a correction has pulled, and made of what the model itself last answered. The right velocity is ``(z - z0) / sigma``
wherever ``z`` is.
"""

import math
import random
import time
from functools import partial

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flowedit.edit.preparation import sigma_grid
from flowedit.methods.refine import lay_change
from flowedit.presets import preset_settings
from flowedit.tiny.config import DIT_FILE, SHIPPED, SMOKE, VAE_FILE, WEIGHTS
from flowedit.tiny.load import load_vae
from flowedit.tiny.model import build_dit, build_text_encoder
from flowedit.tiny.text import START, TinyTextEncoder
from flowedit.wan import vendor
from flowedit.wan.blocks import block_forward
from flowedit.wan.checkpoints import TINY
from training.examples import column, on_the_way, shown_frames, token_latents
from training.forward import Tables, encode_prompts, joint_tables, velocity
from training.keyframes import at_slots
from training.lessons import Lessons
from training.loop import Readings, Run, Trainer, log, save_half
from training.optim import Muon, moving_average
from training.replay import Replay, Shape
from training.sequence import fast_forms

ROUTES = {"tokens": 0.4, "images": 0.35, "both": 0.25}
"""How keyframes are shown, and the shares of the batches."""
ESTIMATES = 0.8
"""Share of the examples of the route ``images`` that show the classical estimate, where the clip has one."""
WORDLESS = 0.5
"""Share of the examples without text."""
EMPHASIS = 3.0
"""Weight of the errors of examples with an estimate, which are smaller than those of examples from noise."""
OWN_ERROR, OWN_FLOOR = 0.15, 0.01
"""Of examples made of the model's own answer, which count as PSNR does: weight of the logarithm of each slot's squared
error, and what is added to it, of a variance of 1."""
RENEWAL = 0.35
"""Share of the time spent on rendering and encoding."""
PEAK, BATCH = 1.2e-3, 128
SHAPES = {
    (33, 128, 128): 0.52,
    (33, 96, 176): 0.25,
    (33, 112, 144): 0.13,
    (33, 176, 96): 0.1,
}
"""Clip shapes (frames, height, width) and their shares."""
FIRST = sigma_grid(preset_settings(TINY))[0]
"""The level at which the default preset takes its one step."""
ELSEWHERE, HIGHEST = 0.3, 0.45
"""Share of the finished examples at other levels, from half of the first one up, and the highest of them."""
FLOOR = 5e-5
"""Added to the squared error of a finished frame, white = 1: errors under that of 43 dB hardly count."""
WEIGHT, CLIPS, EVERY, SINCE = 0.3, 8, 5, 0.12
"""Of finished edits: weight beside the flow's, clips a step, steps between two of a kind, share of the run before."""
LAST = (0.2, 0.5)
"""Levels of the finished step of `method`, whose last one is from 0.3."""


class Trainee(nn.Module):
    """What is trained together: the transformer and its text encoder."""

    def __init__(self, dit: "vendor.WanModel", text: TinyTextEncoder) -> None:
        """Hold both parts."""
        super().__init__()
        self.dit, self.text = dit, text


def train_dit(run: Run) -> None:
    """Train, and write the averaged weights of the transformer and the text encoder in one file.

    Args:
        run: the run; the autoencoder is read from its folder if it is there, else from the package.
    """
    size = SMOKE if run.smoke else SHIPPED
    own = run.out / VAE_FILE
    vae = load_vae(own if own.is_file() else WEIGHTS / VAE_FILE, size)
    model = Trainee(build_dit(size), build_text_encoder(size))
    nn.init.zeros_(model.dit.head.head.weight)
    if run.start:
        model.load_state_dict({name: value.float() for name, value in load_file(run.start / DIT_FILE).items()})
    model.to(run.device).train()
    first, second, third = (table.to(run.device) for table in model.dit.freqs)
    model.dit.freqs = (first, second, third)
    plain = ("embedding", "head.head", "modulation", "position")
    optimiser = Muon(model.named_parameters(), plain=plain, decay=0.05)
    average = moving_average(model, 0.998 if run.start else 0.9995)

    def finish() -> None:
        save_half(average.module.state_dict(), run.out / DIT_FILE, int(average.n_averaged))

    trainer = Trainer("dit", model, optimiser, average, run.peak or PEAK, finish)
    trainer.load(run)
    lessons = Lessons(run.device, 100 + run.seed + run.done[1], run.photographs)
    shapes = {(5, 32, 32): 0.5, (9, 32, 48): 0.5} if run.smoke else SHAPES
    with fast_forms(compiled=run.compiled):
        replay = Replay(run, lessons, vae, list(shapes))
        try:
            trainer.train(run, Steps(run, model, replay, shapes))
        finally:
            replay.estimates.close()


class Steps:
    """What a step does: now and then new clips, a batch of one route, and finished edits from estimates."""

    def __init__(self, run: Run, model: Trainee, replay: Replay, shapes: dict[Shape, float]) -> None:
        """Fill the rings."""
        self.run, self.model, self.replay, self.shapes = run, model, replay, shapes
        self.rng = random.Random(run.seed)
        self.predict = partial(velocity, run_block=run.compiled(block_forward))
        replay.fill(1 if run.smoke else 3)
        log.info("rings filled after %.0f s", run.seconds)
        self.begun, self.spent = time.monotonic(), 0.0

    def __call__(self, number: int, progress: float) -> Readings:
        """Take one step's gradients."""
        if number % 4 == 0 and self.spent < RENEWAL * (time.monotonic() - self.begun):
            self._renew()
        shape, route = self._shape(), self.rng.choices(list(ROUTES), list(ROUTES.values()))[0]
        rows = self.replay.latents[shape].draw(4 if self.run.smoke else BATCH)
        errors, estimated, own = self._flow(rows, shape, route)
        errors.mean().backward()
        nothing = torch.full((), math.nan, device=errors.device)
        kinds = (f"{name} dB" for name in (*ROUTES, "method"))
        found: Readings = dict.fromkeys((*ROUTES, *kinds, "estimate", "gain"), nothing)
        found[route] = _mean(errors.detach(), ~estimated & ~own)
        found[f"{route} dB"] = _mean(errors.detach(), own) * (-_DECIBEL / OWN_ERROR)
        if route == "images":
            found["estimate"] = _mean(errors.detach(), estimated)
        if progress >= SINCE and self.replay.finished[shape].filled:
            if number % EVERY == 0:
                found["gain"] = self._finished(shape)
            if number % EVERY == EVERY // 2:
                found["method dB"] = self._finished_method(shape)
        return found

    def _renew(self) -> None:
        tick = time.monotonic()
        self.replay.renew(self._shape)
        self.run.wait()
        self.spent += time.monotonic() - tick

    def _shape(self) -> Shape:
        return self.rng.choices(list(self.shapes), list(self.shapes.values()))[0]

    def _flow(self, rows: dict[str, Tensor], shape: Shape, route: str) -> tuple[Tensor, Tensor, Tensor]:
        """Error of each example; which show an estimate; which are made of the model's own answer, which is kept."""
        rows = {name: value.float() if value.is_floating_point() else value for name, value in rows.items()}
        z0, count = rows["z0"], self.rng.randint(1, rows["slots"].shape[1])
        estimated = rows["estimated"] & (torch.rand(len(z0), device=z0.device) < ESTIMATES) & (route == "images")
        shown = shown_frames(rows, estimated, images=route != "tokens")
        example = on_the_way(rows, estimated)
        s, state = column(example.sigma), example.state
        slots = rows["slots"][:, : 0 if route == "images" else count]
        if slots.shape[1]:
            key, noise_key = token_latents(rows, slots), at_slots(example.noise, slots)
            state = torch.cat([state, (1 - s) * key + s * noise_key], dim=2)
            shown = torch.cat([shown, at_slots(shown, slots)], dim=2)
        tables = joint_tables(self.model.dit, slots, z0.shape[2:])
        found = self._velocity(state, example.sigma, rows["ids"], shown, tables)[:, :, : z0.shape[2]]
        answer = example.state - s * found
        kept = torch.where(column(example.own), answer.detach(), rows["answer"])
        self.replay.latents[shape].data["answer"][rows["row"]] = kept.bfloat16()
        off = (answer - z0).pow(2)
        plain = (off / s.pow(2)).mean((1, 2, 3, 4)) * example.weight * torch.where(estimated, EMPHASIS, 1.0)
        logs = off.mean((1, 3, 4)).add(OWN_FLOOR).log().mean(1)
        return torch.where(example.own, OWN_ERROR * logs, plain), estimated, example.own

    def _velocity(self, state: Tensor, sigma: Tensor, ids: Tensor, shown: Tensor, tables: Tables) -> Tensor:
        """The model's velocity, for captions of which half are left out."""
        ids = torch.where(torch.rand(len(ids), 1, device=ids.device) < WORDLESS, 0, ids)
        ids[:, 0] = START
        with self.run.autocast():
            context = encode_prompts(self.model.text, ids)
            return self.predict(self.model.dit, state, sigma, (context, shown), tables=tables).float()

    def _finished(self, shape: Shape) -> Tensor:
        """Take the gradient of finished edits from an estimate, whole as the default preset makes them; their gain, dB.

        One step from the noised source, decoded, its change laid on the estimate: the flow's loss weighs every latent
        number alike, this one weighs what people see.
        """
        rows = self.replay.finished[shape].draw(2 if self.run.smoke else CLIPS)
        zs, n = rows["zs"].float(), len(rows["zs"])
        other = torch.rand(n, device=zs.device) * (HIGHEST - FIRST / 2) + FIRST / 2
        sigma = torch.where(torch.rand(n, device=zs.device) < ELSEWHERE, other, torch.full_like(other, FIRST))
        s = column(sigma)
        noisy = (1 - s) * zs + s * torch.randn_like(zs)
        shown = torch.cat([rows["confidence"], rows["ze"]], dim=1).float()
        tables = joint_tables(self.model.dit, rows["ids"][:, :0], zs.shape[2:])
        refined = noisy - s * self._velocity(noisy, sigma, rows["ids"], shown, tables)
        estimate, truth = (rows[name].float() / 127.5 - 1 for name in ("estimate", "truth"))
        edited = (estimate + self.replay.decode(refined) - rows["drawn"].float()).clamp(-1, 1)
        final = lay_change(estimate, edited, (rows["need"].float() / 255).unsqueeze(1), rows["agreement"])
        before, after = (_log_error(video, truth) for video in (estimate, final))
        (WEIGHT * after).backward()
        return (before - after.detach()) * _DECIBEL

    def _finished_method(self, shape: Shape) -> Tensor:
        """Take the gradient of the last step of `method`, decoded and laid on the source; its PSNR, dB.

        Of a target and a source velocity on one noise, from what the model last answered for these clips.
        """
        ring = self.replay.finished[shape]
        rows = ring.draw(2 if self.run.smoke else CLIPS)
        zs, answer, keys = (rows[name].float() for name in ("zs", "answer", "keys"))
        sigma = LAST[0] + (LAST[1] - LAST[0]) * torch.rand(len(zs), device=zs.device)
        s = column(sigma)
        x = (1 - s) * zs + s * torch.randn_like(zs)
        states = torch.cat([x + (1 - s) * (answer - zs), x])
        mask = rows["mask"].float().expand(-1, -1, -1, *zs.shape[3:])
        shown = torch.cat([torch.cat([mask, keys], dim=1), torch.cat([mask, zs], dim=1)])
        ids = rows["ids"].repeat(2, 1)
        tables = joint_tables(self.model.dit, ids[:, :0], zs.shape[2:])
        found = states - s.repeat(2, 1, 1, 1, 1) * self._velocity(states, sigma.repeat(2), ids, shown, tables)
        target, source = found.chunk(2)
        ring.data["answer"][rows["row"]] = target.detach().to(ring.data["answer"])
        clip, truth = (rows[name].float() / 127.5 - 1 for name in ("source", "truth"))
        error = _log_error(clip + self.replay.decode(zs + target - source) - rows["seen"].float(), truth)
        (WEIGHT * error).backward()
        return -error.detach() * _DECIBEL


_DECIBEL = 10 / math.log(10)


def _log_error(video: Tensor, truth: Tensor) -> Tensor:
    """Mean logarithm of each frame's squared error, as PSNR counts it; videos in [-1, 1]."""
    return (video - truth).div(2).pow(2).mean((1, 3, 4)).add(FLOOR).log().mean()


def _mean(value: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen rows, without waiting for the device to count them; NaN where there are none."""
    return torch.where(chosen, value, 0.0).sum() / chosen.sum()
