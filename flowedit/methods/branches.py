"""What both editing methods share: the prepared problem, the two branches, and one corrected step."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from flowedit.correction import Gain, correct, residual
from flowedit.flow import euler_step, interpolate
from flowedit.model import JointLatent, KeyLatent, Latent, VideoModel
from flowedit.trace import StepTrace

PairVelocity = Callable[[Latent, KeyLatent, float], Latent]
"""(main branch, keyframe branch, sigma) -> velocity of the main one; the model may see the other as tokens."""


@dataclass(frozen=True, kw_only=True)
class EditProblem:
    """An edit with everything encoded: what a method needs, and nothing of where it came from.

    Attributes:
        source: clean latents of the source clip.
        keys: clean latents of the styled keyframes, one frame per slot.
        source_keys: the source's own frames at the same slots, by the same route.
        slots: latent slots of the keyframes.
        noise: the run's one noise, in the shape of `source`.
        sigmas: decreasing noise levels, the last one 0.
        gain: share of the residual to correct, of a step's length and `beta`.
        beta: share of it that the keyframe branch takes.
        v_target: velocities under the target prompt and the styled keyframes.
        v_source: velocities under the source prompt and the source's own frames.
        after_step: the model's own hook on the clip's latents.
    """

    source: Latent
    keys: KeyLatent
    source_keys: KeyLatent
    slots: tuple[int, ...]
    noise: Latent
    sigmas: tuple[float, ...]
    gain: Gain
    beta: float
    v_target: PairVelocity
    v_source: PairVelocity
    after_step: Callable[[Latent, float], Latent]

    @property
    def noise_key(self) -> KeyLatent:
        """The noise of the keyframes, coupled to the clip's."""
        return coupled_noise(self.noise, self.slots)


@dataclass(frozen=True, kw_only=True)
class Step:
    """The state after one step.

    Attributes:
        latents: best estimate of the edited clip's clean latents so far.
        x_main: main branch at `trace.sigma_next`.
        x_key: keyframe branch at `trace.sigma_next`.
        trace: what the step read.
        carried: what the method's next step begins with, of the clip and of the keyframes; None where nobody asked.
    """

    latents: Latent
    x_main: Latent
    x_key: KeyLatent
    trace: StepTrace
    carried: tuple[Latent, KeyLatent] | None = None


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A run that was stopped, to go on with: the same problem then gives the same remaining steps, to the last bit.

    Attributes:
        steps: what the steps done so far read, first to last.
        carried: of the last of them.
    """

    steps: tuple[StepTrace, ...]
    carried: tuple[Latent, KeyLatent]


def coupled_noise(noise: Latent, slots: Sequence[int]) -> KeyLatent:
    """The keyframes' noise: the clip's own at their slots, so that both branches differ by style alone."""
    return noise[:, :, list(slots)]


def shared_positions(num_slots: int, slots: Sequence[int]) -> tuple[int, ...]:
    """Temporal positions of the joint sequence: the clip's, then each keyframe at its own slot's position."""
    return (*range(num_slots), *slots)


def appended_positions(num_slots: int, slots: Sequence[int]) -> tuple[int, ...]:
    """The naive choice, for comparison: keyframes numbered on after the clip, as if they were later frames."""
    return tuple(range(num_slots + len(slots)))


def restarted_positions(num_slots: int, slots: Sequence[int]) -> tuple[int, ...]:
    """The other naive choice: keyframes numbered from 0, as if all of them stood at the beginning."""
    return (*range(num_slots), *range(len(slots)))


POSITIONS = {"shared": shared_positions, "appended": appended_positions, "restarted": restarted_positions}


def joint_velocity(model: VideoModel, prepared: Any, position_ids: tuple[int, ...]) -> PairVelocity:  # noqa: ANN401
    """The clip's velocity in one joint sequence with the keyframes: the model sees their tokens."""

    def joint(x_main: Latent, x_key: KeyLatent, sigma: float) -> Latent:
        v: JointLatent = model.velocity(torch.cat([x_main, x_key], dim=2), sigma, prepared, position_ids)
        return v[:, :, : x_main.shape[2]]

    return joint


def main_velocity(model: VideoModel, prepared: Any, position_ids: tuple[int, ...]) -> PairVelocity:  # noqa: ANN401
    """The velocity of the clip alone: the model does not see keyframe tokens."""

    def alone(x_main: Latent, x_key: KeyLatent, sigma: float) -> Latent:
        del x_key
        return model.velocity(x_main, sigma, prepared, position_ids[: x_main.shape[2]])

    return alone


@dataclass(frozen=True)
class Branches:
    """Positions and velocities of both branches at one sigma; the main ones for the whole clip."""

    x_main: Latent
    x_key: KeyLatent
    v_main: Latent
    v_key: KeyLatent


def correct_step(
    problem: EditProblem, at: Branches, step: int, sigma: float, sigma_next: float
) -> tuple[Latent, KeyLatent, StepTrace]:
    """Both velocities after the correction at the keyframe slots, and what it read.

    The gap in the trace is that of the positions which an Euler step with these velocities reaches.
    """
    slots = list(problem.slots)
    dt = sigma - sigma_next
    kappa = problem.gain(dt, problem.beta)
    x_slots, v_slots = at.x_main[:, :, slots], at.v_main[:, :, slots]
    gap = residual(x_slots, at.x_key, v_slots, at.v_key, dt)
    v_slots, v_key = correct(v_slots, at.v_key, gap.r, kappa / dt, problem.beta)
    v_main = at.v_main.clone()
    v_main[:, :, slots] = v_slots
    left = euler_step(x_slots, v_slots, sigma, sigma_next) - euler_step(at.x_key, v_key, sigma, sigma_next)
    trace = StepTrace(
        step=step,
        sigma=sigma,
        sigma_next=sigma_next,
        kappa=kappa,
        r_k_norm=rms_per_slot(gap.r),
        v_diff_norm=rms_per_slot(gap.v_diff),
        delta_v_norm=rms_per_slot(gap.z_diff),
        gap_norm=_relative(rms_per_slot(left), rms_per_slot(problem.source[:, :, slots] - problem.keys)),
    )
    return v_main, v_key, trace


def steps_left(problem: EditProblem, begun: Begun | None) -> list[tuple[int, tuple[float, float]]]:
    """The steps to do: index, and the sigmas before and after; all of them unless some are done."""
    return list(enumerate(pairwise(problem.sigmas)))[len(begun.steps) if begun else 0 :]


def took(trace: StepTrace, begun: float) -> StepTrace:
    """The trace with the seconds since `begun`, a reading of `time.perf_counter`."""
    return replace(trace, seconds=time.perf_counter() - begun)


def rms_per_slot(latents: Tensor) -> tuple[float, ...]:
    """Root mean square over everything but the frame axis, one value per latent frame."""
    return tuple(latents.double().square().mean(dim=(0, 1, 3, 4)).sqrt().tolist())


def _relative(values: tuple[float, ...], scales: tuple[float, ...]) -> tuple[float, ...]:
    """Value over scale; NaN where the keyframe's latent is the source's own and there is nothing to compare with."""
    return tuple(value / scale if scale > 0 else math.nan for value, scale in zip(values, scales, strict=True))


def noised_start(problem: EditProblem) -> tuple[Latent, KeyLatent]:
    """Both branches at the first sigma, on one noise."""
    sigma = problem.sigmas[0]
    return interpolate(problem.source, problem.noise, sigma), interpolate(problem.keys, problem.noise_key, sigma)
