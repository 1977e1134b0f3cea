"""Train the autoencoder on whole clips; it is judged by PSNR, so the loss is the logarithm of the squared error."""

from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from flowedit.tiny.config import SHIPPED, SMOKE, VAE_FILE
from flowedit.tiny.model import build_vae
from flowedit.wan import vendor
from training.lessons import Lessons
from training.loop import Readings, Run, Trainer, save_half
from training.optim import Muon, moving_average
from training.sequence import decode_sequence, encode_sequence, fast_forms

PEAK = 2e-3
KL, ROUGH = 2e-3, 0.04
"""Weight of the divergence from a normal distribution; most of the noise that is added to latents before decoding."""
SHAPES = ((17, 128, 128, 24), (17, 96, 176, 24), (33, 128, 128, 12))
"""Frames, height, width and number of the clips of a step; the last one serves at the end."""
LONG_SINCE = 0.6
"""Share of the time after which clips are long."""


def train_vae(run: Run) -> None:
    """Train, and write the averaged weights and the statistics of their latents.

    Args:
        run: the run; the smoke configuration trains a very small network on very small clips.
    """
    model = build_vae(SMOKE if run.smoke else SHIPPED).model.to(run.device).float().train()
    model.requires_grad_(requires_grad=True)
    gentle_start(model)
    if run.start:
        state = load_file(run.start / VAE_FILE)
        model.load_state_dict({name: v.float() for name, v in state.items() if not name.startswith("latent_")})
    optimiser = Muon(model.named_parameters(), plain=("encoder.conv1", "decoder.head"), decay=0.01)
    average = moving_average(model, 0.998)
    lessons = Lessons(run.device, run.seed, run.photographs)
    trainer = Trainer("vae", model, optimiser, average, run.peak or PEAK, lambda: _write(run, lessons, average))
    trainer.load(run)
    pool: list[Tensor] = []

    def step(number: int, progress: float) -> Readings:
        if not pool:
            turn = 2 if progress > LONG_SINCE else number // 4 % 3 // 2
            frames, height, width, batch = (5, 32, 32, 2) if run.smoke else SHAPES[turn]
            pool.extend(lessons.clips(4 * batch, frames, height, width).split(batch))
        loss, error = _loss(run, model, pool.pop())
        loss.backward()
        return {"dB": -10 / 2.302585 * error.detach()}

    with fast_forms(compiled=run.compiled):
        trainer.train(run, step)


def _loss(run: Run, model: "vendor.VideoVAE_", video: Tensor) -> tuple[Tensor, Tensor]:
    """Log error of every frame, a little absolute error, a little divergence from a normal distribution."""
    with run.autocast():
        mean, log_variance = encode_sequence(model, video)
        mean, log_variance = mean.float(), log_variance.float().clamp(-20, 6)
        spread = (0.5 * log_variance).exp()
        rough = ROUGH * torch.rand(len(video), 1, 1, 1, 1, device=video.device)
        latents = mean + spread * torch.randn_like(mean) + rough * torch.randn_like(mean)
        output = decode_sequence(model, latents).float()
    gap = output - video
    error = torch.log(gap.pow(2).mean((1, 3, 4)) / 4 + 1.5e-4).mean()
    divergence = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).mean()
    return error + 0.5 * gap.abs().mean() + KL * divergence, error


def gentle_start(model: "vendor.VideoVAE_") -> None:
    """Start every residual block as its shortcut, and every change of frame rate as repetition.

    Args:
        model: changed in place.
    """
    for module in model.modules():
        if isinstance(module, vendor.ResidualBlock):
            torch.nn.init.zeros_(cast("Any", module.residual[6]).weight)
        if isinstance(module, vendor.Resample) and hasattr(module, "time_conv"):
            (module.init_weight if module.mode == "downsample3d" else module.init_weight2)(module.time_conv)


@torch.no_grad()
def _write(run: Run, lessons: Lessons, average: AveragedModel) -> None:
    """Measure the latents of the averaged weights, and write both."""
    shape = (8, 5, 32, 32) if run.smoke else (16, 33, 128, 128)
    parts = [part for _ in range(1 if run.smoke else 3) for part in lessons.clips(*shape).split(4)]
    model: Any = average.module
    with run.autocast():
        means = torch.cat([encode_sequence(model, p)[0].float().transpose(0, 1).flatten(1) for p in parts], dim=1)
    state = {**model.state_dict(), "latent_mean": means.mean(1), "latent_std": means.std(1)}
    save_half(state, run.out / VAE_FILE, int(average.n_averaged))
