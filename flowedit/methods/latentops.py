"""The ideas of the method as plain functions on tensors (b, c, f, h, w), for a loop of one's own.

They take latent slots, refuse what can only be pixel indices, and return new tensors.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from flowedit.correction import Euler, correct, residual
from flowedit.errors import KeyframeError, SettingError
from flowedit.methods.branches import coupled_noise, shared_positions
from flowedit.model import KeyLatent, Latent


def prepare_coupled_noise(latent_shape: Sequence[int], slots: Sequence[int], seed: int) -> tuple[Latent, KeyLatent]:
    """One noise for both branches, float32 on the CPU: the clip's, and at the keyframes' latent slots, theirs.

    `latent_shape` is (b, c, f, h, w) of the clip's latents.

    Raises:
        KeyframeError: a slot that the clip does not have; pixel indices are none.
    """
    _check_slots(slots, latent_shape[2])
    noise = torch.randn(tuple(latent_shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    return noise, coupled_noise(noise, slots)


def construct_rope_ids(total_latents: int, slots: Sequence[int]) -> Int64[Tensor, " n"]:
    """Temporal positions of clip and keyframes in one sequence: `[0 .. total_latents - 1]`, then the keyframes' slots.

    Raises:
        KeyframeError: a slot that the clip does not have.

    >>> construct_rope_ids(4, [0, 2]).tolist()
    [0, 1, 2, 3, 0, 2]
    """
    _check_slots(slots, total_latents)
    return torch.tensor(shared_positions(total_latents, slots), dtype=torch.int64)


def compute_velocity_correction(
    z_main: Latent, z_edit: KeyLatent, v_main: Latent, v_edit: KeyLatent, slots: Sequence[int], dt: float, alpha: float
) -> Latent:
    """The main branch's velocity after the literal Euler correction: `v_main[slots] + alpha * r`.

    `r = (z_main[slots] - z_edit) - (v_main[slots] - v_edit) * dt` is the gap that the next Euler step would leave.

    Args:
        z_main: main branch at the current sigma, (b, c, f, h, w).
        z_edit: keyframe branch at the same sigma, one frame per slot.
        v_main: velocity of the main branch, after guidance.
        v_edit: velocity of the keyframe branch.
        slots: latent slots of the keyframes, not pixel indices.
        dt: length of the step in sigma, positive.
        alpha: rate of the correction; contracts for `0 < alpha * dt < 2`.

    Raises:
        KeyframeError: a slot that the clip does not have, or not one per keyframe.
        SettingError: a step that is not positive, or a negative rate.
    """
    _check_slots(slots, z_main.shape[2])
    if len(slots) != z_edit.shape[2]:
        raise KeyframeError(f"{len(slots)} slots came with {z_edit.shape[2]} keyframe latents; give one slot for each.")
    if not dt > 0:
        raise SettingError(f"dt is {dt}; it must be positive: sigma minus the next sigma.")
    at = list(slots)
    gap = residual(z_main[:, :, at], z_edit, v_main[:, :, at], v_edit, dt)
    corrected = v_main.clone()
    corrected[:, :, at], _ = correct(v_main[:, :, at], v_edit, gap.r, Euler(alpha)(dt) / dt)
    return corrected


def _check_slots(slots: Sequence[int], total_latents: int) -> None:
    outside = [slot for slot in slots if not 0 <= slot < total_latents]
    if outside:
        raise KeyframeError(
            f"Slot {outside[0]} is outside the clip's {total_latents} latents; pixel frame i lies in slot "
            "(i + 3) // 4. Convert pixel indices with flowedit.frames.slots_of."
        )
    if len(set(slots)) != len(slots):
        raise KeyframeError(
            f"A slot is given twice in {list(slots)}; two keyframes cannot share one. Keep one of them."
        )
