"""The checks of the lessons' exercises: each a generator of claims about an answer."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flowedit.correction import gap_law, residual
from flowedit.flow import euler_step, interpolate, velocity
from flowedit.frames import GROUP, slot_count, slot_of
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
    slip: str = ""  # the mistake that gives what was got, where it is a known one


def close(says: str, on: str, got: object, expected: object, tolerance: float = 1e-9, *, slip: str = "") -> Claim:
    """Claim that numbers or arrays agree within an absolute tolerance, in shape as well."""
    a, b = (np.asarray(value, dtype=np.float64) for value in (got, expected))
    holds = a.shape == b.shape and bool(np.all(np.abs(a - b) <= tolerance))
    return Claim(says, on, _brief(b), _brief(a), holds, slip)


def equal(says: str, on: str, got: object, expected: object) -> Claim:
    """Claim that two values are the same."""
    return Claim(says, on, repr(expected), repr(got), bool(got == expected))


def _slip(got: object, slips: Mapping[str, object]) -> str:
    """The mistake that gives these values, or nothing."""
    same = (name for name, wrong in slips.items() if np.shape(got) == np.shape(wrong) and np.allclose(got, wrong))
    return next(same, "")


def _brief(value: np.ndarray) -> str:
    if value.ndim == 0:
        return f"{float(value):.6g}" if math.isfinite(value) else str(float(value))
    if value.size <= 4:
        return np.array2string(value, precision=4, separator=", ")
    return f"an array of shape {value.shape} with mean {value.mean():.4g}"


Answer = Callable[..., Any]
Check = Callable[[Answer], Iterator[Claim]]


def flicker_of(answer: Answer) -> Iterator[Claim]:
    """The mean change from frame to frame over the source's, of pictures whose differences have both signs."""
    source = np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    yield close("should be 1 for the source itself", "video = source", answer(source, source), 1.0)
    still = np.repeat(source[:1], 5, axis=0)
    yield close("should be 0 for a clip that stands still", "one frame, repeated", answer(still, source), 0.0)
    expected = 2 * np.abs(np.diff(source // 2 * 1.0, axis=0)).mean() / np.abs(np.diff(source * 2.0, axis=0)).mean()
    yield close("should halve when every value is halved", "video = source // 2", answer(source // 2, source), expected)


def close_gap(answer: Answer) -> Iterator[Claim]:
    """The corrected velocity leaves `1 - kappa` of the residual, whatever the velocities."""
    rng = np.random.default_rng(11)
    for kappa, dt in ((1.0, 0.1), (0.5, 0.1), (0.3, 0.02), (0.0, 0.25)):
        x_main, x_key, v_main, v_key = rng.standard_normal((4, 3, 5))
        corrected = answer(x_main, x_key, v_main, v_key, dt, kappa)
        gap = euler_step(x_main, corrected, 0.5, 0.5 - dt) - euler_step(x_key, v_key, 0.5, 0.5 - dt)
        r = residual(x_main, x_key, v_main, v_key, dt).r
        slips = {
            "the push goes the wrong way: a step subtracts the velocity": v_main - kappa / dt * r,
            "the push is not divided by dt, by which the step multiplies it": v_main + kappa * r,
            "the residual has the velocities without dt": v_main + kappa / dt * (x_main - x_key - v_main + v_key),
        }
        says = "should leave the gap (1 - kappa) r"
        yield close(says, f"kappa = {kappa}, dt = {dt}", gap, gap_law(r, kappa), slip=_slip(corrected, slips))


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


def shared_rows(answer: Answer) -> Iterator[Claim]:
    """The clip's rows in order, then each keyframe's own."""
    table = np.exp(1j * np.outer(np.arange(40), [1.0, 0.1]))
    for num_slots, slots in ((5, [2]), (9, [0, 4, 8]), (9, [8, 0])):
        on, rows = f"{num_slots} slots, keyframes in {slots}", answer(table, num_slots, slots)
        yield equal("should have a row per slot and per keyframe", on, len(rows), num_slots + len(slots))
        yield close("should begin with the clip's own rows", on, rows[:num_slots], table[:num_slots])
        slips = {"the keyframes are appended: they seem to come after the clip": table[num_slots:][: len(slots)]}
        got = rows[num_slots:]
        says = "should give each keyframe the row of its slot"
        yield close(says, on, got, table[list(slots)], slip=_slip(got, slips))


def odd_one_out(answer: Answer) -> Iterator[Claim]:
    """The painting of another hand, wherever it stands and whatever the pictures show."""
    rng = np.random.default_rng(41)
    for odd in (0, 2, 3):
        sources = [rng.integers(40, 200, (6, 8, 3)).astype(np.uint8) for _ in range(4)]
        paintings = [(0.5 * source + [60, 30, 10]).astype(np.uint8) for source in sources]
        paintings[odd] = paintings[odd][..., ::-1].copy()
        on = f"4 keyframes, red and blue exchanged in number {odd}"
        yield equal("should find the painting that disagrees", on, answer(sources, paintings), odd)
    sources = [np.full((2, 2, 3), level, np.uint8) for level in (10, 100, 200)]
    paintings = [sources[0] + 20, sources[1] + 20, sources[2] - 90]
    says = "should look at the change, not at the painting"
    yield equal(says, "3 even pictures, the third darkened", answer(sources, paintings), 2)


def edit_coupled(answer: Answer) -> Iterator[Claim]:
    """The package's own loop, on a model that reads from where it is."""
    import torch

    from flowedit.methods.branches import EditProblem
    from flowedit.methods.coupled import coupled

    source, noise, other = torch.randn(3, 1, 2, 5, 2, 2, generator=torch.Generator().manual_seed(51))
    slots, sigmas, kappa = (0, 3), wan_sigmas(6, strength=0.8), 0.25
    keys = source[:, :, slots] + 1

    def model(x_main: Any, x_key: Any, sigma: float) -> Any:  # noqa: ANN401 - tensors
        return 0.7 * (x_main - other) / sigma + x_key.mean() * 0.1

    problem = EditProblem(
        source=source, keys=keys, source_keys=keys, slots=slots, noise=noise, sigmas=sigmas,
        gain=lambda dt, beta: kappa, beta=0.0, v_target=model, v_source=model, hook=lambda latents, sigma: latents,
    )  # fmt: skip

    def final(**changes: Any) -> Any:  # noqa: ANN401
        return list(coupled(replace(problem, **changes)))[-1].latents

    slips = {
        "the correction has the wrong sign": final(gain=lambda dt, beta: -kappa),
        "the correction is not divided by dt, by which the step multiplies it": final(gain=lambda dt, beta: kappa * dt),
        "nothing is corrected": final(gain=lambda dt, beta: 0.0),
    }
    got = answer(model, source, keys, slots, noise, sigmas, kappa)
    on = "5 slots, keyframes in 0 and 3, 6 steps, kappa 0.25"
    yield close("should end where the package's loop ends", on, got, final(), 1e-5, slip=_slip(got, slips))


def my_edit(answer: Answer) -> Iterator[Claim]:
    """Better than the source and than a colour map, on a clip that no lesson shows."""
    from flowedit.estimate.colour_map import colour_map
    from flowedit.lessons.material import clip
    from flowedit.lessons.scoring import score

    unseen, at = clip(17, "comic", frames=17), (0, 16)
    keyframes = {key.index: key.image for key in unseen.painted(*at)}
    bars = {"the source untouched": unseen.frames, "the colour map": colour_map(unseen.frames, keyframes)}
    got = answer(unseen.frames, keyframes)
    yield equal("should return a clip of the same shape and type", "17 frames", _kind(got), _kind(unseen.frames))
    mine, on = score(unseen, at, got)["psnr_far"], "an unseen clip, far from its two painted keyframes"
    for name, frames in bars.items():
        bar = score(unseen, at, frames)["psnr_far"]
        yield Claim(
            f"should be nearer to the exact edit than {name}", on, f"over {bar:.1f} dB", f"{mine:.1f} dB", mine > bar
        )


def _kind(frames: Any) -> tuple:  # noqa: ANN401 - whatever the reader returns
    return np.shape(frames), str(getattr(frames, "dtype", "no array"))


def keyframe_mask(answer: Answer) -> Iterator[Claim]:
    """One bit per pixel frame: all four of slot 0, one of any other."""
    for count, indices in ((17, (0, 16)), (9, (0,)), (17, (3, 8)), (33, (0, 13, 32))):
        mask, on = np.asarray(answer(count, indices)), f"{count} frames, keyframes {indices}"
        yield equal("should be 4 channels by one column per slot", on, mask.shape, (4, slot_count(count)))
        for index in indices:
            column, channel = mask[:, slot_of(index)], (index - 1) % GROUP
            expected = np.ones(4) if index == 0 else np.eye(4)[channel]
            yield close(f"should mark frame {index} in its slot", on, column, expected)
        says = "should be 0 in slots without a keyframe"
        others = [slot for slot in range(slot_count(count)) if slot not in [slot_of(i) for i in indices]]
        yield close(says, on, mask[:, others], np.zeros((4, len(others))))


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
    "0.1": flicker_of,
    "1.1": close_gap,
    "2.1": velocity_of_two,
    "2.2": difference,
    "3.1": hold,
    "3.2": shared_rows,
    "4.1": odd_one_out,
    "5.1": edit_coupled,
    "6.1": my_edit,
    "7.1": keyframe_mask,
    "8.1": point_velocity,
}
"""By the number of the exercise."""
