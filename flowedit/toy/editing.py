"""Editing without inversion: the field whose flow carries source data to target data.

`x_source` is the source noised to the current sigma, `x_target` the edit displaced by the same amount, and the edit
moves by the difference of the two velocities (FlowEdit: Kulikov et al. 2024, arXiv 2412.08629).
"""

import numpy as np

from flowedit.flow import interpolate
from flowedit.toy.solvers import Field


def difference_field(v_source: Field, v_target: Field, source: np.ndarray, noise: np.ndarray) -> Field:
    """The velocity of the edit `z`: `v_target(z + x_source - source) - v_source(x_source)`.

    Solve it from `source` down the sigma grid. Equal fields leave the source where it is, and between point masses
    the edit lands on the target.

    Args:
        v_source: velocity field of the source data.
        v_target: velocity field of the target data.
        source: clean source points, (n, d).
        noise: the run's one noise, (n, d), shared by both sides.

    Returns:
        A field for `euler` or `heun`.
    """

    def field(edit: np.ndarray, sigma: float) -> np.ndarray:
        x_source = interpolate(source, noise, sigma)
        x_target = edit + x_source - source
        return v_target(x_target, sigma) - v_source(x_source, sigma)

    return field
