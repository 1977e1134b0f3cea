"""Flows that can be solved by hand: exact velocity fields and solvers, in NumPy only.

The lessons and their widgets use these to check the package's own equations: everything here calls the functions of
`flowedit.flow`, `flowedit.schedule` and `flowedit.correction` that the real edit calls on tensors.
"""

from flowedit.toy.gap import Branches, branches_of, kappas_of, last_only, two_branches
from flowedit.toy.mixture import Mixture, gaussian, gaussian_flow, point_mass
from flowedit.toy.scenes import SCENES, Scene
from flowedit.toy.solvers import SOLVERS, difference_field, euler, heun, observed_order, solve, trajectory

__all__ = ["SCENES", "SOLVERS", "Branches", "Mixture", "Scene", "branches_of", "difference_field", "euler"]
__all__ += ["gaussian", "gaussian_flow", "heun", "kappas_of", "last_only", "observed_order", "point_mass", "solve"]
__all__ += ["trajectory", "two_branches"]
