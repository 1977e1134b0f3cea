"""Train the autoencoder on whole clips; it is judged by PSNR, so the loss is the logarithm of the squared error."""

import time
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from flowedit.tiny.config import SHIPPED, SMOKE
from flowedit.tiny.load import VAE_FILE
from flowedit.tiny.model import build_vae
from flowedit.wan import vendor
from training.evaluate import exam_clips, psnr_by_frame, reconstruct
from training.feed import Feed
from training.optim import Average, Muon, learning_rate
from training.run import Run, log, save_half
from training.sequence import causal, decode_sequence, encode_sequence, fast_forms

PEAK = 2e-3
KL = 4e-3
SHORT_UNTIL = 0.4
"""Share of the time spent on clips of 17 frames; the rest is on 33."""


def train_vae(run: Run) -> None:
    """Train, then write the averaged weights and the statistics of their latents.

    Args:
        run: the run; the smoke configuration trains a very small network on very small clips.
    """
    smoke = run.config == "smoke"
    model = (
        build_vae(SMOKE if smoke else SHIPPED).model.to(run.device).float().train().requires_grad_(requires_grad=True)
    )
    gentle_start(model)
    if run.resume:
        _resume(model, run, run.resume)
    run.same_start(model)
    torch.manual_seed(run.seed * 1000 + run.rank)
    feed = Feed(run.device, run.seed + run.rank, images=run.images, extra=run.extra)
    optimiser = Muon(model.named_parameters(), plain=("encoder.conv1", "decoder.head"), decay=0.01)
    average = Average(model, 0.998)
    if run.resume:
        optimiser.load_state_dict(torch.load(run.resume / "vae_state.pt", map_location=run.device, weights_only=True))
    folded = run.device.type == "cuda" and folded_is_faster(run.device)
    torch.backends.cudnn.benchmark = True
    with fast_forms(folded=folded, compiled=run.compiles):
        _loop(run, model, feed, optimiser, average)
        finish(run, model, feed, optimiser, average)


def _loop(run: Run, model: "vendor.VideoVAE_", feed: Feed, optimiser: Muon, average: Average) -> None:
    """Render, reconstruct, step, until the time is over."""
    smoke = run.config == "smoke"
    exam = exam_clips(run.extra, 2 if smoke else 8) if run.main and run.extra else None
    step, pool, reported, losses, marked = 0, [], time.monotonic(), [], 0
    while (progress := run.progress(step)) < 1.0:
        if not pool:
            frames, side, batch = (5, 32, 2) if smoke else ((17, 128, 8) if progress < SHORT_UNTIL else (33, 128, 4))
            pool = list(feed.clips(4 * batch, frames, side, side).split(batch))
        loss, error = _loss(run, model, pool.pop())
        loss.backward()
        norm = optimiser.step(learning_rate(PEAK, progress, step=step, warmup=5 if smoke else 150))
        average.update()
        losses.append(error.detach())
        step += 1
        if time.monotonic() - reported > (2 if smoke else 15):
            reported = time.monotonic()
            score = -10 * torch.stack(losses).mean() / 2.302585
            log.info("vae step %d at %.0f %%: training %.2f dB, gradient %.2f", step, 100 * progress, score, norm)
            losses = []
            if exam is not None and int(progress * 8) > marked:
                marked = int(progress * 8)
                with torch.no_grad(), run.autocast():
                    log.info("vae exam (first scenes, weights as they are) %.2f dB", _exam(model, exam, run))
    log.info("vae trained for %d steps of %d processes", step, run.world)


def _loss(run: Run, model: "vendor.VideoVAE_", video: Tensor) -> tuple[Tensor, Tensor]:
    """Log error of every frame, a little absolute error, a little divergence from a normal distribution."""
    with run.autocast():
        mean, log_variance = encode_sequence(model, video)
        mean, log_variance = mean.float(), log_variance.float().clamp(-20, 6)
        spread = (0.5 * log_variance).exp()
        rough = 0.06 * torch.rand(len(video), 1, 1, 1, 1, device=video.device)
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
            torch.nn.init.zeros_(cast("nn.Conv3d", module.residual[6]).weight)
        if isinstance(module, vendor.Resample) and hasattr(module, "time_conv"):
            (module.init_weight if module.mode == "downsample3d" else module.init_weight2)(module.time_conv)


def finish(run: Run, model: "vendor.VideoVAE_", feed: Feed, optimiser: Muon, average: Average) -> None:
    """Measure the latents, write the weights and what a resumed run needs.

    Args:
        run: the run.
        model: the trained network, which takes the averaged weights.
        feed: clips to measure on.
        optimiser: its state is saved.
        average: the averaged weights.
    """
    if not run.main:
        return
    raw = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.shadow)
    model.eval()
    shape = (8, 5, 32, 32) if run.config == "smoke" else (16, 33, 128, 128)
    with torch.no_grad(), run.autocast():
        means = torch.cat(
            [
                encode_sequence(model, part)[0].float().transpose(0, 1).flatten(1)
                for _ in range(2 if run.config == "smoke" else 8)
                for part in feed.clips(*shape).split(4)
            ],
            dim=1,
        )
    state = {**average.shadow, "latent_mean": means.mean(1), "latent_std": means.std(1)}
    log.info("raw latents: mean %s, deviation %s", means.mean(1).abs().mean().item(), means.std(1).tolist())
    save_half(state, run.out / VAE_FILE, {"format": "pt", "steps": str(average.seen)})
    if run.extra:
        with torch.no_grad(), run.autocast():
            log.info("vae exam, averaged weights: %.2f dB", _exam(model, exam_clips(run.extra, 24), run))
    torch.save(optimiser.state_dict(), run.out / "vae_state.pt")
    torch.save(raw, run.out / "vae_raw.pt")


def _resume(model: "vendor.VideoVAE_", run: Run, folder: Path) -> None:
    """Take up the weights of an earlier run."""
    model.load_state_dict(torch.load(folder / "vae_raw.pt", map_location=run.device, weights_only=True))


def _exam(model: "vendor.VideoVAE_", clips: Tensor, run: Run) -> float:
    """Mean PSNR over clips and frames."""
    return float(
        psnr_by_frame(clips, torch.cat([reconstruct(model, c.to(run.device)).cpu() for c in clips.split(4)])).mean()
    )


def folded_is_faster(device: torch.device) -> bool:
    """Time both forms of a causal convolution at full resolution, forward and backward.

    Args:
        device: a GPU.

    Returns:
        Whether the 2-D form is faster there.
    """
    seconds = {}
    for folded in (False, True):
        total, began = 0.0, 0.0
        for channels, side in ((32, 128), (64, 64)):
            conv = torch.nn.Conv3d(channels, channels, 3).to(device)
            x = torch.randn(4, channels, 35, side, side, device=device, dtype=torch.bfloat16)
            x = x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
            with fast_forms(folded=folded, compiled=False), torch.autocast("cuda", dtype=torch.bfloat16):
                for turn in range(5):
                    if turn == 2:
                        torch.cuda.synchronize()
                        began = time.perf_counter()
                    causal(conv, x).sum().backward()
                torch.cuda.synchronize()
            total += time.perf_counter() - began
        seconds[folded] = total
    log.info("causal convolution, 3-D %.4f s, folded %.4f s", seconds[False], seconds[True])
    return seconds[True] < seconds[False]
