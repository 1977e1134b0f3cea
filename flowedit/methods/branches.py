"""What the methods share: an edit with everything encoded, the state a step yields, and the correction in between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowedit.correction import Residual, correct, residual
from flowedit.model import KeyLatent, Latent, VideoModel
from flowedit.trace import StepTrace

Velocity = Callable[[Latent, KeyLatent, float], Latent]
"""(main branch, keyframe branch, sigma) -> velocity of the main one; the model may see the other as tokens."""


class Gap(NamedTuple):
    """What a step's correction by `kappa` read at the keyframes' slots before, and the gap that the step left."""

    kappa: float
    before: Residual
    left: KeyLatent


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
        v_target: velocity under the target prompt and the styled keyframes.
        v_source: velocity under the source prompt and the source's own frames.
        hook: what the model does to the clip's latents after a step that ends at a sigma.
        free: how far each latent cell may change, (f, h, w) in [0, 1]; None for all of them.
    """

    source: Latent
    keys: KeyLatent
    source_keys: KeyLatent
    slots: tuple[int, ...]
    noise: Latent
    sigmas: tuple[float, ...]
    gain: Callable[[float, float], float]
    beta: float
    v_target: Velocity
    v_source: Velocity
    hook: Callable[[Latent, float], Latent]
    free: Tensor | None = None

    @property
    def noise_key(self) -> KeyLatent:
        """The noise of the keyframes, coupled to the clip's."""
        return coupled_noise(self.noise, self.slots)

    def correct(
        self, x_main: Latent, x_key: KeyLatent, v_main: Latent, v_key: KeyLatent, dt: float
    ) -> tuple[Latent, KeyLatent, Gap]:
        """Both velocities after the correction at the keyframes' slots, and what it read."""
        at, kappa = list(self.slots), self.gain(dt, self.beta)
        x_slots, v_slots = x_main[:, :, at], v_main[:, :, at]
        before = residual(x_slots, x_key, v_slots, v_key, dt)
        v_slots, v_key = correct(v_slots, v_key, before.r, kappa / dt, self.beta)
        v_main = v_main.clone()
        v_main[:, :, at] = v_slots
        return v_main, v_key, Gap(kappa, before, residual(x_slots, x_key, v_slots, v_key, dt).r)

    def after_step(self, latents: Latent, own: Latent, sigma: float) -> Latent:
        """The clip's latents as the model leaves them; where nothing may change, `own`, the source's at this level."""
        latents = self.hook(latents, sigma)
        return latents if self.free is None else own + self.free * (latents - own)


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a method stands after a step.

    Attributes:
        latents: best estimate of the edited clip's clean latents so far.
        x_main: main branch at the sigma that the step reached.
        x_key: keyframe branch at that sigma; no frame where the method has none.
        gap: what the correction read; None where the method has none.
        carried: what the next step begins with.
    """

    latents: Latent
    x_main: Latent
    x_key: KeyLatent
    gap: Gap | None
    carried: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Step(State):
    """A state, and the readings on the way to it."""

    trace: StepTrace


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


def zero_positions(num_slots: int, slots: Sequence[int]) -> tuple[int, ...]:
    """Each keyframe at 0, a clip of its own: where Bernini-R's training had references, told apart by source ids."""
    return (*range(num_slots), *(0 for _ in slots))


POSITIONS = {
    "shared": shared_positions,
    "appended": appended_positions,
    "restarted": restarted_positions,
    "zero": zero_positions,
}


def model_velocity(model: VideoModel, prepared: Any, position_ids: tuple[int, ...]) -> Velocity:  # noqa: ANN401
    """The clip's velocity, alone or, where there are positions for them, with the keyframes' tokens after it."""

    def velocity(x_main: Latent, x_key: KeyLatent, sigma: float) -> Latent:
        clip = x_main.shape[2]
        seen = torch.cat([x_main, x_key], dim=2) if len(position_ids) > clip else x_main
        return model.velocity(seen, sigma, prepared, position_ids)[:, :, :clip]

    return velocity


def rms_per_slot(latents: Tensor) -> tuple[float, ...]:
    """Root mean square over everything but the frame axis, one value per latent frame."""
    return tuple(latents.double().square().mean(dim=(0, 1, 3, 4)).sqrt().tolist())
