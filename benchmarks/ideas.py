"""Ideas of bending the method that the benchmark measures and no setting offers: rows, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, pairwise

from flowedit.errors import SettingError
from flowedit.methods.branches import EditProblem
from flowedit.model import Latent


def in_phases(problem: EditProblem, shares: Sequence[float]) -> EditProblem:
    """The problem with a correction that differs from phase to phase of the trajectory.

    Args:
        problem: an edit that takes all its steps, in order, however often.
        shares: `kappa` of each phase, first to last, in [0, 1]; the steps are dealt out to the phases as evenly as
            they can be.
    """
    steps = len(problem.sigmas) - 1
    each = cycle([shares[step * len(shares) // steps] for step in range(steps)])
    return replace(problem, gain=lambda dt, beta: next(each))


def faded(problem: EditProblem, weights: Sequence[float]) -> EditProblem:
    """The problem with a correction that also moves the slots beside each keyframe's, a share of the way.

    What a step's correction took from the gap at the keyframe's slot, `kappa / (1 - kappa)` of what is left, the
    neighbours are moved by too, each by its weight: where slots lie between two keyframes, the nearer one's counts.

    Args:
        problem: an edit by `difference`, its keyframe branch anchored.
        weights: share at one slot's distance, at two, and so on.

    Raises:
        SettingError: `beta` is not 0, or `kappa` 1 at some step, after which nothing is left to tell what was taken.
    """
    # No step ends where another does.
    shares = {after: problem.gain(before - after, problem.beta) for before, after in pairwise(problem.sigmas)}
    if problem.beta or max(shares.values()) >= 1:
        raise SettingError(f"beta is {problem.beta} and kappa at most {max(shares.values())}; use 0 and less than 1.")
    nearest = _nearest(problem.source.shape[2], problem.slots, len(weights))

    def after_step(latents: Latent, sigma: float) -> Latent:
        moved = latents.clone()
        share = shares[sigma]
        source = problem.source[:, :, list(problem.slots)]
        # Both branches are on one noise: their gap is that of the clean parts.
        gaps = latents[:, :, list(problem.slots)] - source + (1 - sigma) * (source - problem.keys)
        for slot, (key, distance) in nearest.items():
            moved[:, :, slot] -= weights[distance - 1] * share / (1 - share) * gaps[:, :, key]
        return problem.hook(moved, sigma)

    return replace(problem, hook=after_step)


def _nearest(num_slots: int, slots: Sequence[int], reach: int) -> dict[int, tuple[int, int]]:
    """Of every slot beside a keyframe's, as far as `reach`: which keyframe is nearest, and how many slots away."""
    found = {}
    for slot in range(num_slots):
        distance, key = min((abs(slot - at), number) for number, at in enumerate(slots))
        if 0 < distance <= reach:
            found[slot] = (key, distance)
    return found
