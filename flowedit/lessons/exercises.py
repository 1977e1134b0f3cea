"""The checks of the lessons' exercises: each a generator of claims about an answer."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowedit.correction import gap_law, residual, unstable_steps
from flowedit.flow import euler_step, interpolate, velocity
from flowedit.frames import GROUP, longest_legal, slot_count, slot_of
from flowedit.schedule import wan_sigmas
from flowedit.toy import Mixture, difference_field, euler, point_mass, solve


@dataclass(frozen=True)
class Claim:
    """One property of an answer, tried on one input."""

    says: str  # the property, as the end of the sentence "it ..."
    on: str
    expected: str
    got: str
    holds: bool


def close(says: str, on: str, got: object, expected: object, tolerance: float = 1e-9) -> Claim:
    """Claim that numbers or arrays agree within an absolute tolerance, in shape as well."""
    a, b = (np.asarray(value, dtype=np.float64) for value in (got, expected))
    holds = a.shape == b.shape and bool(np.all(np.abs(a - b) <= tolerance))
    return Claim(says, on, _brief(b), _brief(a), holds)


def equal(says: str, on: str, got: object, expected: object) -> Claim:
    """Claim that two values are the same."""
    return Claim(says, on, repr(expected), repr(got), bool(got == expected))


def _brief(value: np.ndarray) -> str:
    if value.ndim == 0:
        return f"{float(value):.6g}" if math.isfinite(value) else str(float(value))
    if value.size <= 4:
        return np.array2string(value, precision=4, separator=", ")
    return f"an array of shape {value.shape} with mean {value.mean():.4g}"


Answer = Callable[..., Any]
Check = Callable[[Answer], Iterator[Claim]]


def usable(answer: Answer) -> Iterator[Claim]:
    """`4n + 1`, not above the clip's length, and the largest such number."""
    for count in (1, 5, 33, 81):
        yield equal("should keep a legal clip whole", f"{count} frames", answer(count), count)
    for count in (2, 8, 34, 36, 100):
        yield equal("should be the largest 4n + 1 that fits", f"{count} frames", answer(count), longest_legal(count))


def close_gap(answer: Answer) -> Iterator[Claim]:
    """The corrected velocity leaves `1 - kappa` of the residual, whatever the velocities."""
    rng = np.random.default_rng(11)
    for kappa, dt in ((1.0, 0.1), (0.5, 0.1), (0.3, 0.02), (0.0, 0.25)):
        x_main, x_key, v_main, v_key = rng.standard_normal((4, 3, 5))
        corrected = answer(x_main, x_key, v_main, v_key, dt, kappa)
        gap = euler_step(x_main, corrected, 0.5, 0.5 - dt) - euler_step(x_key, v_key, 0.5, 0.5 - dt)
        expected = gap_law(residual(x_main, x_key, v_main, v_key, dt).r, kappa)
        yield close("should leave the gap (1 - kappa) r", f"kappa = {kappa}, dt = {dt}", gap, expected)


def largest_alpha(answer: Answer) -> Iterator[Claim]:
    """Just under the bound no step is unstable, just over it one is."""
    for steps, shift, beta in ((20, 5.0, 0.0), (20, 5.0, 1.0), (12, 1.0, 0.0), (30, 3.0, 0.5)):
        sigmas = wan_sigmas(steps, shift=shift)
        bound = float(answer(sigmas, beta))
        on = f"{steps} steps, shift {shift:g}, beta {beta:g} (your bound {bound:.4g})"
        under, over = (len(unstable_steps(max(bound * factor, 0), beta, sigmas)) for factor in (0.999, 1.001))
        yield equal("should have no unstable step when alpha is a little smaller than the bound", on, under, 0)
        says = "should have an unstable step when alpha is a little larger than the bound"
        yield Claim(says, on, "at least 1", str(over), over > 0)


def velocity_of_two(answer: Answer) -> Iterator[Claim]:
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


def difference(answer: Answer) -> Iterator[Claim]:
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


def hold(answer: Answer) -> Iterator[Claim]:
    """One frame for slot 0; a first frame and one whole group for every other; the group's latent is taken."""
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for index in (0, 1, 4, 16, 30):
        frames, take = answer(image, index)
        on = f"index = {index}"
        first = slot_of(index) == 0
        yield equal("should return frames of shape (F, H, W, 3)", on, np.asarray(frames).shape[1:], image.shape)
        says = "should encode one picture for the first slot" if first else "should fill one group after a first frame"
        yield equal(says, on, len(frames), 1 if first else 1 + GROUP)
        yield close("should show the keyframe in every frame", on, frames, np.stack([image] * len(frames)))
        says = "should take the only latent" if first else "should take the latent of the group, not of the first frame"
        yield equal(says, on, int(take), slot_of(len(frames) - 1))


_VERDICTS = (
    ("should leave keyframes alone that nothing speaks against", {0: 0, 12: 0}, {0: 0, 12: 0}, 2, []),
    ("should send back what was rejected at first", {0: 0, 12: 1, 20: 3}, {0: 0, 12: 0, 20: 0}, 2, [12, 20]),
    ("should allow exactly redo repetitions", {0: 1, 12: 1, 20: 1}, {0: 0, 12: 1, 20: 2}, 2, [0, 12]),
    ("should send nothing back when redo is 0", {0: 2}, {0: 0}, 0, []),
    ("should return the frames in increasing order", {32: 1, 4: 1, 20: 1}, {32: 0, 4: 0, 20: 0}, 1, [4, 20, 32]),
)


def paint_again(answer: Answer) -> Iterator[Claim]:
    """Rejected keyframes with attempts left go back, and no others."""
    for says, faults, attempts, redo, expected in _VERDICTS:
        on = f"faults {faults}, attempts {attempts}, redo {redo}"
        yield equal(says, on, list(answer(dict(faults), dict(attempts), redo)), expected)


def relative_gap(answer: Answer) -> Iterator[Claim]:
    """1 where nothing was carried over, 0 on the keyframe, and no division by zero."""
    source, key, one, other = np.random.default_rng(51).standard_normal((4, 4, 3, 3))
    for share in (1.0, 0.5, 0.25, 0.0):
        got = answer(key + share * (source - key), key, source, key)
        yield close("should be the share of the difference that is left", f"{share:.0%} of the way back", got, share)
    on, expected = "branches elsewhere, a difference of 2 everywhere", np.sqrt(np.mean((one - other) ** 2)) / 2
    says = "should be the rms left over the rms of the difference"
    yield close(says, on, answer(one, other, key + 2, key), expected)
    got = answer(one, other, key, key)
    yield close("should be 0 where there is nothing to close", "source and keyframe equal", got, 0.0)


def far_frames(answer: Answer) -> Iterator[Claim]:
    """Exactly the frames whose nearest keyframe is at least that far away."""
    cases = (
        ("should count a frame exactly that far away", 9, (0, 8), 4, [4]),
        ("should leave out frames near any keyframe", 17, (0, 8, 16), 4, [4, 12]),
        ("should look at keyframes on both sides", 13, (6,), 5, [0, 1, 11, 12]),
        ("should return every frame at distance 0", 5, (0, 4), 0, [0, 1, 2, 3, 4]),
        ("should return nothing where all are near", 5, (0, 2, 4), 2, []),
    )
    for says, count, keyframes, distance, expected in cases:
        on = f"count = {count}, keyframes = {keyframes}, distance = {distance}"
        yield equal(says, on, list(answer(count, keyframes, distance)), expected)


def tokens(answer: Answer) -> Iterator[Claim]:
    """Slots times patches, keyframe slots included."""
    says = "should be the number of slots times the patches of one"
    for frames, height, width, keyframes in ((1, 16, 16, 0), (5, 16, 32, 0), (81, 480, 832, 0), (33, 128, 96, 3)):
        on = f"{frames} frames of {height}x{width}, {keyframes} keyframes as tokens"
        expected = (slot_count(frames) + keyframes) * height * width // 256
        yield equal(says, on, answer(frames, height, width, keyframes), expected)


def point_velocity(answer: Answer) -> Iterator[Claim]:
    """On the path from the clip to a noise it is `noise - clip`, at any noise level and for any choice of slots."""
    import torch  # the other lessons' checks keep without it, on machines of 200 MB

    generator = torch.Generator().manual_seed(81)
    clip, noise = torch.randn(2, 1, 3, 5, 2, 2, generator=generator)
    for sigma in (1.0, 0.5, 0.1):
        got = answer(None, interpolate(clip, noise, sigma), sigma, clip, range(5))
        says, on = "should have the shape of the latents", f"sigma = {sigma}"
        yield equal(says, on, tuple(got.shape), tuple(clip.shape))
        yield close("should be noise - c on the path", f"sigma = {sigma}", got, velocity(clip, noise), tolerance=1e-4)
    slots = [0, 1, 2, 3, 4, 0, 3]
    joint = answer(None, interpolate(clip[:, :, slots], noise[:, :, slots], 0.5), 0.5, clip, tuple(slots))
    says = "should take each latent frame's clip from its position"
    yield close(says, f"position_ids = {slots}", joint, velocity(clip, noise)[:, :, slots], tolerance=1e-4)
    grey = answer(None, 0.5 * noise, 0.5, None, range(5))
    yield close("should head for grey where nothing was prepared", "prepared = None", grey, noise, tolerance=1e-4)


CHECKS: dict[str, Check] = {
    "0.1": usable,
    "1.1": close_gap,
    "1.2": largest_alpha,
    "2.1": velocity_of_two,
    "2.2": difference,
    "3.1": hold,
    "4.1": paint_again,
    "5.1": relative_gap,
    "6.1": far_frames,
    "7.1": tokens,
    "8.1": point_velocity,
}
"""By the number of the exercise."""
