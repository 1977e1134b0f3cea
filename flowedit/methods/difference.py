"""`difference`: edit without inversion, along the difference of a target and a source velocity.

The idea is FlowEdit's (Kulikov et al. 2024, arXiv 2412.08629); the keyframes in both velocities, the one coupled noise
and the correction on the effective velocity are this project's.
"""

from collections.abc import Iterator
from itertools import pairwise

from flowedit.flow import euler_step, interpolate, velocity
from flowedit.methods.branches import EditProblem, State
from flowedit.model import KeyLatent, Latent


def difference(problem: EditProblem, begun: tuple[Latent, KeyLatent] | None = None) -> Iterator[State]:
    """Move the source's latents, and the keyframes' beside them, from the first sigma to 0.

    Unstyled keyframes with equal prompts and guidance make both velocities equal: the source comes back, except where
    the correction pulls it to a keyframe latent that is not the source's own (`still`, `hold`; `delta` leaves none).

    Args:
        problem: the edit; `strength` has already cut the first steps off its grid.
        begun: what a stopped run carried to the first of these sigmas; None begins with the source.

    Yields:
        The state after each step; `latents` of the last one is the edited clip.
    """
    source, keys, noise, noise_key = problem.source, problem.keys, problem.noise, problem.noise_key
    edit, edit_key = begun or (source, keys)
    for sigma, sigma_next in pairwise(problem.sigmas):
        x_source, x_source_key = interpolate(source, noise, sigma), interpolate(problem.source_keys, noise_key, sigma)
        # The offsets are summed first: where the edit changes nothing, the target sees the source's own bits.
        x_target = x_source + (edit - source)
        x_key = interpolate(keys, noise_key, sigma) + (edit_key - keys)
        drift = problem.v_target(x_target, x_key, sigma) - problem.v_source(x_source, x_source_key, sigma)
        v_main, v_key = drift + velocity(source, noise), velocity(keys, noise_key)
        v_main, v_key, gap = problem.correct(x_target, x_key, v_main, v_key, sigma - sigma_next)
        edit = euler_step(edit, v_main - velocity(source, noise), sigma, sigma_next)
        edit = problem.after_step(edit, source, sigma_next)
        edit_key = euler_step(edit_key, v_key - velocity(keys, noise_key), sigma, sigma_next)
        x_main = interpolate(source, noise, sigma_next) + (edit - source)
        x_key = interpolate(keys, noise_key, sigma_next) + (edit_key - keys)
        yield State(latents=edit, x_main=x_main, x_key=x_key, gap=gap, carried=(edit, edit_key))
