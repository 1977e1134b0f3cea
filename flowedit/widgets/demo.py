"""Small computed cases for the widgets' `example()`: a moving scene, its recolouring, and a real corrected run."""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from flowedit.correction import Exact, correct, residual
from flowedit.flow import euler_step, interpolate
from flowedit.trace import StepTrace, Trace

KEYFRAMES = (0, 16, 32)

_RETURN = np.array([0.95, 0.8, 0.6]).reshape(-1, 1, 1, 1)

_WARM = np.array([[0.95, 0.35, 0.05], [0.25, 0.75, 0.10], [0.10, 0.25, 0.60]])


def scene(num_frames: int = 33, height: int = 96, width: int = 160) -> np.ndarray:
    """A disc and a bar that move over a drifting gradient, uint8 (num_frames, height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    frames = [_frame(x / width, y / height, i / max(num_frames - 1, 1), width / height) for i in range(num_frames)]
    return np.round(255 * np.stack(frames)).astype(np.uint8)


def recolour(frames: np.ndarray) -> np.ndarray:
    """The exactly restyled clip: one colour matrix for every pixel, uint8 in and out."""
    return np.round(np.clip(frames @ _WARM.T, 0, 255)).astype(np.uint8)


def demo_clip(num_frames: int = 33, height: int = 96, width: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A scene and its recolouring, both uint8 (num_frames, height, width, 3)."""
    source = scene(num_frames, height, width)
    return source, recolour(source)


def partial_edit(source: np.ndarray, edited: np.ndarray, trace: Trace) -> np.ndarray:
    """The clip of a run in pixels: `edited`, with each frame kept back by the gap of its nearest keyframe.

    A keyframe left unstyled has no gap (NaN): it asks for the source itself, and its frames are the source's.
    """
    if not trace.steps:
        return source
    nearest = [min(range(len(trace.keyframes)), key=lambda k: abs(trace.keyframes[k] - i)) for i in range(len(source))]
    gap = np.nan_to_num([trace.steps[-1].gap_norm[k] for k in nearest], nan=1.0)[:, None, None, None]
    return np.round(np.clip(edited + (source.astype(np.float64) - edited) * gap, 0, 255)).astype(np.uint8)


def alpha_run(alpha: float) -> tuple[float, np.ndarray, Trace, dict[str, float]]:
    """One run of the linear field as `AlphaExplorer` takes it: alpha, frames, trace and metrics."""
    source, edited = demo_clip()
    trace = run_trace(alpha)
    frames = partial_edit(source, edited, trace)
    error = (frames.astype(np.float64) - edited)[list(KEYFRAMES)]
    change = float(np.abs(frames.astype(np.float64) - source).mean())
    return alpha, frames, trace, {"error at keyframes": float(np.sqrt((error**2).mean())), "change from source": change}


def compared_rows() -> list[tuple[str, np.ndarray, dict[str, float]]]:
    """A source, its exact recolouring, and four attempts at it, each measured against the exact one."""
    source, exact = demo_clip()
    noise = np.random.default_rng(0).normal(0, 12, (len(exact), 1, 1, 3))
    attempts = {
        "source": source,
        "exact": exact,
        "half strength": (exact / 2 + source / 2).astype(np.uint8),
        "flickering": np.round(np.clip(exact + noise, 0, 255)).astype(np.uint8),
        "one frame late": np.concatenate([exact[:1], exact[:-1]]),
        "eight levels a channel": (exact // 32 * 32 + 16).astype(np.uint8),
    }
    return [(name, clip, _scores(clip, exact) if name != "exact" else {}) for name, clip in attempts.items()]


def gallery_pairs() -> list[tuple[np.ndarray, np.ndarray, int, dict[str, Any]]]:
    """Three keyframes as `KeyframeGallery` takes them; the last one is recoloured at a third of the strength."""
    source, exact = demo_clip()
    pairs = []
    for index, strength in zip(KEYFRAMES, (1.0, 1.0, 0.35), strict=True):
        styled = np.round(source[index] + strength * (exact[index].astype(np.float64) - source[index])).astype(np.uint8)
        rms = float(np.sqrt(np.mean((styled.astype(np.float64) - exact[index]) ** 2)))
        reasons = [f"Its colours lie {rms:.1f} of 255 from the exact ones."] if rms > 10 else []
        pairs.append((source[index], styled, index, {"rms to exact": rms, "reasons": reasons}))
    return pairs


def _scores(clip: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """PSNR to the exact clip, and how unevenly the error moves from frame to frame (both on 0 to 255)."""
    error = clip.astype(np.float64) - exact
    drift = np.abs(np.diff(error.mean(axis=(1, 2)), axis=0)).mean()
    return {"PSNR, dB": 10 * math.log10(255**2 / float((error**2).mean())), "flicker": float(drift)}


def run_trace(alpha: float = 10.0, steps: int = 20, shift: float = 5.0, seed: int = 0) -> Trace:
    """The correction run on a linear field: every reading comes out of the package's own functions, none is made up.

    At each keyframe the field returns to the source by another share (`_RETURN`): 1 would be the ideal field, which
    forgets every push but the last; a learned field re-reads where it is and keeps part of each.

    Args:
        alpha: rate of the correction.
        steps: Euler steps.
        shift: Wan's schedule shift.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    shape = (len(KEYFRAMES), 4, 12, 20)
    noise = rng.standard_normal(shape)
    source = rng.standard_normal(shape)
    styled = source + np.array([0.5, 1.0, 0.7]).reshape(-1, 1, 1, 1) * rng.standard_normal(shape)
    line = np.linspace(1.0, 0.0, steps + 1)
    sigmas = shift * line / (1 + (shift - 1) * line)
    trace = Trace(keyframes=KEYFRAMES, slots=(0, 4, 8), method="linear field", alpha=alpha)
    x_main, x_key = interpolate(source, noise, sigmas[0]), interpolate(styled, noise, sigmas[0])
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        dt = sigma - sigma_next
        data = _RETURN * source + (1 - _RETURN) * (x_main - sigma * noise) / max(1 - sigma, 0.05)
        v_main, v_key = (x_main - data) / sigma, noise - styled
        z_diff, v_diff, r = residual(x_main, x_key, v_main, v_key, dt)
        kappa = Exact(alpha)(dt)
        v_main, v_key = correct(v_main, v_key, r, kappa / dt)
        x_main, x_key = (euler_step(x, v, sigma, sigma_next) for x, v in ((x_main, v_main), (x_key, v_key)))
        trace.steps.append(
            StepTrace(
                step=step,
                sigma=float(sigma),
                sigma_next=float(sigma_next),
                kappa=float(kappa),
                r_k_norm=_rms(r),
                v_diff_norm=_rms(v_diff),
                delta_v_norm=_rms(z_diff),
                gap_norm=tuple(np.divide(_rms(x_main - x_key), _rms(source - styled)).tolist()),
            )
        )
    return trace


def _rms(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.sqrt((values**2).mean(axis=(1, 2, 3))).tolist())


def _frame(x: np.ndarray, y: np.ndarray, t: float, aspect: float) -> np.ndarray:
    """One frame in [0, 1], (H, W, 3), at time `t` in [0, 1]."""
    ground = np.stack(
        [0.25 + 0.35 * y, 0.45 + 0.25 * np.sin(2 * math.pi * (x + 0.3 * t)), 0.75 - 0.3 * y + 0 * x], axis=-1
    )
    disc = np.hypot((x - 0.2 - 0.6 * t) * aspect, y - 0.5 - 0.2 * math.sin(2 * math.pi * t))
    bar = np.abs((x - 0.75 + 0.3 * t) * aspect * math.cos(t) + (y - 0.4) * math.sin(t))
    for distance, radius, colour in ((bar, 0.06, (0.15, 0.25, 0.35)), (disc, 0.2, (0.95, 0.85, 0.3))):
        cover = np.clip((radius - distance) * 96 / 2 + 0.5, 0, 1)[..., None]
        ground = ground * (1 - cover) + np.array(colour) * cover
    return np.clip(ground, 0, 1)
