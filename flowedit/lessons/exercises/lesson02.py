"""Checks of lesson 02: the field of two points, and the difference field."""

from collections.abc import Callable, Iterator

import numpy as np

from flowedit.lessons.checks import Claim, close, exercise
from flowedit.schedule import wan_sigmas
from flowedit.toy import Mixture, difference_field, euler, point_mass, solve


@exercise("2.1")
def velocity_of_two(answer: Callable[..., np.ndarray]) -> Iterator[Claim]:
    """The mean of both points' velocities, weighted by how likely each is."""
    a, b = np.array([1.0, 0.0]), np.array([-1.0, 0.5])
    data = Mixture.even([a, b])
    middle = (a + b) / 2
    for sigma in (0.9, 0.5, 0.3):
        x = (1 - sigma) * middle
        says = "should give both points the same weight half-way between them"
        yield close(says, f"sigma = {sigma}", answer(x, sigma, a, b), (x - middle) / sigma)
    near = 0.9 * a
    says = "should point at a where a is far more likely"
    yield close(says, "sigma = 0.2", answer(near, 0.2, a, b), (near - a) / 0.2, tolerance=1e-6)
    for sigma, x in ((0.8, [0.3, 0.2]), (0.6, [-0.4, 0.1]), (0.5, [0.2, -0.3])):
        x = np.array(x)
        expected = data.velocity(x[None], sigma)[0]
        yield close(
            "should be the mean given x", f"x = {x.tolist()}, sigma = {sigma}", answer(x, sigma, a, b), expected
        )


@exercise("2.2")
def difference(answer: Callable[..., np.ndarray]) -> Iterator[Claim]:
    """Equal fields stand still, point masses are joined, and any fields agree with the package's."""
    rng = np.random.default_rng(22)
    source, noise, edit = rng.standard_normal((3, 6, 2))
    two = Mixture.even([(1.0, 0.0), (-1.0, 0.5)], 0.3)
    three = Mixture.even([(0.0, 2.0), (1.0, 1.0), (-1.0, 1.0)], 0.4)
    for sigma in (0.9, 0.4):
        still = answer(source, sigma, source, noise, two.velocity, two.velocity)
        yield close("should not move the source when both fields are the same", f"sigma = {sigma}", still, 0 * source)
    start, goal = np.tile([-1.5, 0.5], (6, 1)), np.tile([2.0, 1.0], (6, 1))
    fields = (point_mass(start[0]).velocity, point_mass(goal[0]).velocity)
    end = solve(euler, lambda z, sigma: answer(z, sigma, start, noise, *fields), start, wan_sigmas(8))
    yield close("should carry one point exactly to the other", "two single points, 8 steps", end, goal)
    for sigma in (0.7, 0.2):
        expected = difference_field(two.velocity, three.velocity, source, noise)(edit, sigma)
        got = answer(edit, sigma, source, noise, two.velocity, three.velocity)
        yield close("should be the difference of the velocities", f"two mixtures, sigma = {sigma}", got, expected)
