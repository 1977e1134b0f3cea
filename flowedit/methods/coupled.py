"""`coupled`: noise the source and the keyframes with one noise, denoise them together, and let the correction pull.

The start is SDEdit's (Meng et al. 2021, arXiv 2108.01073): the source, noised to the first sigma. The keyframe branch,
the shared positions and the correction are this project's.
"""

from collections.abc import Iterator
from itertools import pairwise

from flowedit.flow import euler_step, interpolate, predict_data, velocity
from flowedit.methods.branches import EditProblem, State
from flowedit.model import KeyLatent, Latent


def coupled(problem: EditProblem, begun: tuple[Latent, KeyLatent] | None = None) -> Iterator[State]:
    """Denoise from the first sigma to 0.

    Args:
        problem: the edit; `strength` has already chosen its first sigma.
        begun: what a stopped run carried to the first of these sigmas; None begins with the noised source.

    Yields:
        The state after each step; `latents` of the last one is the edited clip.
    """
    source, keys, noise, noise_key = problem.source, problem.keys, problem.noise, problem.noise_key
    start = problem.sigmas[0]
    x_main, x_key = begun or (interpolate(source, noise, start), interpolate(keys, noise_key, start))
    for sigma, sigma_next in pairwise(problem.sigmas):
        v_main, v_key = problem.v_target(x_main, x_key, sigma), velocity(keys, noise_key)
        v_main, v_key, gap = problem.correct(x_main, x_key, v_main, v_key, sigma - sigma_next)
        clean = predict_data(x_main, v_main, sigma)
        x_main = euler_step(x_main, v_main, sigma, sigma_next)
        x_main = problem.after_step(x_main, interpolate(source, noise, sigma_next), sigma_next)
        x_key = euler_step(x_key, v_key, sigma, sigma_next)
        latents = clean if sigma_next > 0 else x_main
        yield State(latents=latents, x_main=x_main, x_key=x_key, gap=gap, carried=(x_main, x_key))
