"""`coupled`: noise the source and the keyframes with one noise, denoise them together, and let the correction pull.

The start is that of SDEdit (Meng et al. 2021, arXiv 2108.01073); the keyframe branch, the shared positions and the
correction are this project's.
"""

import time
from collections.abc import Iterator

from flowedit.flow import euler_step, predict_data, velocity
from flowedit.methods.branches import Begun, Branches, EditProblem, Step, correct_step, noised_start, steps_left, took


def coupled(problem: EditProblem, begun: Begun | None = None) -> Iterator[Step]:
    """Denoise from the first sigma to 0, one step at a time.

    Args:
        problem: the edit; `strength` has already chosen its first sigma.
        begun: a stopped run of this problem to go on with; None begins at the first sigma.

    Yields:
        The state after each step; `latents` of the last one is the edited clip.
    """
    x_main, x_key = noised_start(problem) if begun is None else begun.carried
    keys, noise_key = problem.keys, problem.noise_key
    for step, (sigma, sigma_next) in steps_left(problem, begun):
        clock = time.perf_counter()
        v_main, v_key = problem.v_target(x_main, x_key, sigma), velocity(keys, noise_key)
        v_main, v_key, trace = correct_step(problem, Branches(x_main, x_key, v_main, v_key), step, sigma, sigma_next)
        latents = predict_data(x_main, v_main, sigma)
        x_main = problem.after_step(euler_step(x_main, v_main, sigma, sigma_next), sigma_next)
        x_key = euler_step(x_key, v_key, sigma, sigma_next)
        latents = x_main if sigma_next == 0 else latents
        yield Step(latents=latents, x_main=x_main, x_key=x_key, trace=took(trace, clock), carried=(x_main, x_key))
