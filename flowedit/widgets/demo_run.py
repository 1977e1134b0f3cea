"""A run that needs no model: the package's own correction on the mean colours of a scene, for `RunPanel.example()`."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from flowedit.correction import Exact, correct, residual
from flowedit.flow import euler_step, interpolate, predict_data, velocity
from flowedit.frames import group_of, slot_count, slot_of
from flowedit.schedule import wan_sigmas
from flowedit.trace import StepTrace
from flowedit.widgets.demo import KEYFRAMES, demo_clip
from flowedit.widgets.preview import fit_latent_rgb, step_preview

_PATCH = 8
_CHANNELS = 6
_SEED = 3


class DemoStep(NamedTuple):
    """One step: the clean latents it points to, (c, f, h, w), and what it read."""

    latents: np.ndarray
    trace: StepTrace


def demo_run(steps: int = 12, clip: tuple[np.ndarray, np.ndarray] | None = None) -> dict:
    """Arguments of `RunPanel` for a clip whose keyframe slots are carried to the restyled clip.

    Args:
        steps: Euler steps.
        clip: source and restyled, uint8 (33, H, W, 3) with sides that 8 divides; the computed scene when None.
    """
    clip = clip or demo_clip()
    source, styled = (_encode(frames) for frames in clip)
    rgb_map = fit_latent_rgb(source, clip[0])
    return {"work": lambda: demo_steps(source, styled, steps), "total": steps, "preview": step_preview(rgb_map)}


def demo_steps(source: np.ndarray, styled: np.ndarray, steps: int) -> Iterator[DemoStep]:
    """The coupled edit on exact velocities: only the keyframe slots change, since every slot's field is its own."""
    slots = [slot_of(i) for i in KEYFRAMES]
    noise = np.random.default_rng(_SEED).standard_normal(source.shape)
    sigmas = wan_sigmas(steps, strength=0.8)
    gain = Exact(10.0)
    x = interpolate(source, noise, sigmas[0])
    scale = _rms(source[:, slots] - styled[:, slots])
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        dt = sigma - sigma_next
        v = (x - source) / sigma
        x_key = interpolate(styled[:, slots], noise[:, slots], sigma)
        v_key = velocity(styled[:, slots], noise[:, slots])
        z_diff, v_diff, r = residual(x[:, slots], x_key, v[:, slots], v_key, dt)
        v = v.copy()
        v[:, slots], v_key = correct(v[:, slots], v_key, r, gain(dt) / dt)
        latents = predict_data(x, v, sigma)
        x = euler_step(x, v, sigma, sigma_next)
        x_key = euler_step(x_key, v_key, sigma, sigma_next)
        yield DemoStep(
            latents,
            StepTrace(
                step=step,
                sigma=sigma,
                sigma_next=sigma_next,
                kappa=gain(dt),
                r_k_norm=tuple(_rms(r)),
                v_diff_norm=tuple(_rms(v_diff)),
                delta_v_norm=tuple(_rms(z_diff)),
                gap_norm=tuple(_rms(x[:, slots] - x_key) / scale),
            ),
        )


def _encode(frames: np.ndarray) -> np.ndarray:
    """Stand-in latents: each slot's mean colours per patch, turned into more channels, (c, f, h, w)."""
    count, height, width, _ = frames.shape
    patches = frames.reshape(count, height // _PATCH, _PATCH, width // _PATCH, _PATCH, 3).mean(axis=(2, 4)) / 127.5 - 1
    means = np.stack([patches[list(group_of(slot))].mean(axis=0) for slot in range(slot_count(count))])
    mixing = np.random.default_rng(_SEED).standard_normal((_CHANNELS, 3))
    return np.einsum("cr,fhwr->cfhw", mixing, means)


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt((values**2).mean(axis=(0, 2, 3)))
