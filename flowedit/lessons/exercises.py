"""The checks of the lessons' exercises: each holds an answer to the properties that a right one has.

The reader sees the first property that does not hold and on what input, never the answer. `check` never raises: an
unsolved or wrong exercise does not stop the cells below it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from flowedit.correction import gap_law, residual
from flowedit.errors import SettingError
from flowedit.flow import euler_step, interpolate, velocity
from flowedit.frames import GROUP, slot_count, slot_of
from flowedit.lessons.card import Card
from flowedit.schedule import wan_sigmas
from flowedit.toy import Mixture, difference_field, euler, point_mass, solve

Answer = Callable[..., Any]
_LOOKS = {"passed": ("✓", "#009E73"), "failed": ("✗", "#D55E00"), "open": ("…", "#8A8A8A")}


class WrongAnswerError(Exception):
    """A property that an answer does not have, the input that shows it, and the mistake where it is a known one."""


def close(says: str, on: str, got: object, expected: object, tolerance: float = 1e-9, **slips: object) -> None:
    """Refuse numbers or arrays that differ in shape or by more than a tolerance; `slips` are what mistakes give."""
    a, b = (np.asarray(value, dtype=np.float64) for value in (got, expected))
    if a.shape == b.shape and np.all(np.abs(a - b) <= tolerance):
        return
    known = [f"{name}. " for name, wrong in slips.items() if a.shape == np.shape(wrong) and np.allclose(a, wrong)]
    raise WrongAnswerError(f"{''.join(known[:1])}It {says}: on {on} expected {_brief(b)}, got {_brief(a)}.")


def equal(says: str, on: str, got: object, expected: object) -> None:
    """Refuse a value that is not the expected one."""
    if got != expected:
        raise WrongAnswerError(f"It {says}: on {on} expected {expected!r}, got {got!r}.")


def _brief(value: np.ndarray) -> str:
    if value.ndim == 0:
        return f"{float(value):.6g}" if math.isfinite(value) else str(float(value))
    if value.size <= 4:
        return np.array2string(value, precision=4, separator=", ")
    return f"an array of shape {value.shape} with mean {value.mean():.4g}"


def flicker_of(answer: Answer) -> None:
    """The mean change from frame to frame over the source's, of pictures whose differences have both signs."""
    source = np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    close("should be 1 for the source itself", "video = source", answer(source, source), 1.0)
    still = np.repeat(source[:1], 5, axis=0)
    close("should be 0 for a clip that stands still", "one frame, repeated", answer(still, source), 0.0)
    expected = 2 * np.abs(np.diff(source // 2 * 1.0, axis=0)).mean() / np.abs(np.diff(source * 2.0, axis=0)).mean()
    close("should halve when every value is halved", "video = source // 2", answer(source // 2, source), expected)


def close_gap(answer: Answer) -> None:
    """The corrected velocity leaves `1 - kappa` of the residual, whatever the velocities."""
    rng = np.random.default_rng(11)
    for kappa, dt in ((1.0, 0.1), (0.5, 0.1), (0.3, 0.02), (0.0, 0.25)):
        x_main, x_key, v_main, v_key = rng.standard_normal((4, 3, 5))
        r = residual(x_main, x_key, v_main, v_key, dt).r
        ahead = x_main - euler_step(x_key, v_key, 0.5, 0.5 - dt)  # the gap after a step that leaves the main branch
        slips = {
            "The push goes the wrong way: a step subtracts the velocity": v_main - kappa / dt * r,
            "The push is not divided by dt, by which the step multiplies it": v_main + kappa * r,
            "The residual has the velocities without dt": v_main + kappa / dt * (x_main - x_key - v_main + v_key),
        }
        left = {name: ahead - dt * wrong for name, wrong in slips.items()}
        got = ahead - dt * answer(x_main, x_key, v_main, v_key, dt, kappa)
        on = f"kappa = {kappa}, dt = {dt}"
        close("should leave the gap (1 - kappa) r", on, got, gap_law(r, kappa), **left)


def velocity_of_two(answer: Answer) -> None:
    """The mean of both points' velocities, weighted by how likely each is."""
    a, b = np.array([1.0, 0.0]), np.array([-1.0, 0.5])
    data, middle = Mixture.even([a, b]), (a + b) / 2
    for sigma in (0.9, 0.5, 0.3):
        x, on = (1 - sigma) * middle, f"the point half-way between them, sigma = {sigma}"
        close("should give both points the same weight there", on, answer(x, sigma, a, b), (x - middle) / sigma)
        x, on = np.array([0.3, 0.4]), f"x = [0.3, 0.4], sigma = {sigma}"
        close("should be the mean given x", on, answer(x, sigma, a, b), data.velocity(x[None], sigma)[0])


def difference(answer: Answer) -> None:
    """Equal fields stand still, point masses are joined, and any fields agree with the package's."""
    source, noise, edit = np.random.default_rng(22).standard_normal((3, 6, 2))
    two = Mixture.even([(1.0, 0.0), (-1.0, 0.5)], 0.3).velocity
    three = Mixture.even([(0.0, 2.0), (1.0, 1.0), (-1.0, 1.0)], 0.4).velocity
    start, goal = np.tile([-1.5, 0.5], (6, 1)), np.tile([2.0, 1.0], (6, 1))
    fields = point_mass(start[0]).velocity, point_mass(goal[0]).velocity
    for sigma in (0.9, 0.4):
        still = answer(source, sigma, source, noise, two, two)
        close("should not move the source when both fields are the same", f"sigma = {sigma}", still, 0 * source)
    end = solve(euler, lambda z, sigma: answer(z, sigma, start, noise, *fields), start, wan_sigmas(8))
    close("should carry one point exactly to the other", "two single points, 8 steps", end, goal)
    got, expected = answer(edit, 0.7, source, noise, two, three), difference_field(two, three, source, noise)(edit, 0.7)
    close("should be the difference of the velocities", "two mixtures, sigma = 0.7", got, expected)


def hold(answer: Answer) -> None:
    """One frame for slot 0; a first frame and one whole group for every other; the group's latent is taken."""
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for index in (0, 1, 4, 16, 30):
        frames, take = answer(image, index)
        on, first = f"index = {index}", slot_of(index) == 0
        says = "should encode one picture for the first slot" if first else "should fill one group after a first frame"
        equal(says, on, len(frames), 1 if first else 1 + GROUP)
        close("should show the keyframe in every frame", on, frames, np.stack([image] * len(frames)))
        says = "should take the only latent" if first else "should take the latent of the group, not of the first frame"
        equal(says, on, int(take), slot_of(len(frames) - 1))


def shared_rows(answer: Answer) -> None:
    """The clip's rows in order, then each keyframe's own."""
    table = np.exp(1j * np.outer(np.arange(40), [1.0, 0.1]))
    for num_slots, slots in ((5, [2]), (9, [0, 4, 8]), (9, [8, 0])):
        on, rows = f"{num_slots} slots, keyframes in {slots}", np.real(answer(table, num_slots, slots))
        equal("should have a row per slot and per keyframe", on, len(rows), num_slots + len(slots))
        close("should begin with the clip's own rows", on, rows[:num_slots], table[:num_slots].real)
        appended = table[num_slots : num_slots + len(slots)].real
        slips = {"The keyframes are appended: they seem to come after the clip": appended}
        says, own = "should give each keyframe the row of its slot", table[list(slots)].real
        close(says, on, rows[num_slots:], own, **slips)


def odd_one_out(answer: Answer) -> None:
    """The painting of another hand, wherever it stands and whatever the pictures show."""
    rng = np.random.default_rng(41)
    for odd in (0, 2, 3):
        sources = [rng.integers(40, 200, (6, 8, 3)).astype(np.uint8) for _ in range(4)]
        paintings = [(0.5 * source + [60, 30, 10]).astype(np.uint8) for source in sources]
        paintings[odd] = paintings[odd][..., ::-1].copy()
        on = f"4 keyframes, red and blue exchanged in number {odd}"
        equal("should find the painting that disagrees", on, answer(sources, paintings), odd)
    sources = [np.full((2, 2, 3), level, np.uint8) for level in (10, 100, 200)]
    paintings = [sources[0] + 20, sources[1] + 20, sources[2] - 90]
    says = "should look at the change, not at the painting"
    equal(says, "3 even pictures, the third darkened", answer(sources, paintings), 2)


def edit_coupled(answer: Answer) -> None:
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

    def final(gain: Callable[[float, float], float]) -> Any:  # noqa: ANN401
        return list(coupled(replace(problem, gain=gain)))[-1].latents

    slips = {
        "The correction has the wrong sign": final(lambda dt, beta: -kappa),
        "The correction is not divided by dt, by which the step multiplies it": final(lambda dt, beta: kappa * dt),
        "Nothing is corrected": final(lambda dt, beta: 0.0),
    }
    got, on = answer(model, source, keys, slots, noise, sigmas, kappa), "5 slots, keyframes in 0 and 3, kappa 0.25"
    close("should end where the package's loop ends", on, got, final(problem.gain), 1e-5, **slips)


def my_edit(answer: Answer) -> str:
    """Nearer to the exact edit than the row *colour map* on a clip that no lesson shows; the recorded rows grade it."""
    from flowedit.lessons.scoring import UNSEEN_AT, score, unseen, unseen_rows

    clip = unseen()
    got = np.asarray(answer(clip.frames, {key.index: key.image for key in clip.painted(*UNSEEN_AT)}))
    equal("should return a clip of the source's shape", "17 frames", got.shape, clip.frames.shape)
    equal("should return whole numbers from 0 to 255", "17 frames", str(got.dtype), "uint8")
    mine, rows = round(score(clip, UNSEEN_AT, got)["psnr_far"], 2), unseen_rows()
    said = {name: f"{name} ({bar:.1f})" for name, bar in rows.items()}
    if mine <= rows["colour map"]:
        raise WrongAnswerError(f"It reaches {mine:.1f} dB far from the keyframes, no more than {said['colour map']}.")
    beaten = [words for name, words in said.items() if mine > rows[name]]
    ahead = [words for words in said.values() if words not in beaten]
    return f"{mine:.1f} dB far from the keyframes. Beaten: {', '.join(beaten)}. Not beaten: {', '.join(ahead)}."


def keyframe_mask(answer: Answer) -> None:
    """One bit per pixel frame: all four of slot 0, one of any other."""
    for count, indices in ((17, (0, 16)), (9, (0,)), (17, (3, 8)), (33, (0, 13, 32))):
        mask, on = np.asarray(answer(count, indices)), f"{count} frames, keyframes {indices}"
        equal("should be 4 channels by one column per slot", on, mask.shape, (4, slot_count(count)))
        for index in indices:
            expected = np.ones(4) if index == 0 else np.eye(4)[(index - 1) % GROUP]
            close(f"should mark frame {index} in its slot", on, mask[:, slot_of(index)], expected)
        others = [slot for slot in range(slot_count(count)) if slot not in map(slot_of, indices)]
        close("should be 0 in slots without a keyframe", on, mask[:, others], np.zeros((4, len(others))))


def point_velocity(answer: Answer) -> None:
    """On the path from the clip to a noise it is `noise - clip`, at any noise level and for any choice of slots."""
    import torch  # the other lessons' checks keep without it, on machines of 200 MB

    clip, noise = torch.randn(2, 1, 3, 5, 2, 2, generator=torch.Generator().manual_seed(81))
    for sigma in (1.0, 0.5, 0.1):
        got, on = answer(None, interpolate(clip, noise, sigma), sigma, clip, range(5)), f"sigma = {sigma}"
        close("should be noise - c on the path", on, got, velocity(clip, noise), 1e-4)
    slots = [0, 1, 2, 3, 4, 0, 3]
    joint = answer(None, interpolate(clip[:, :, slots], noise[:, :, slots], 0.5), 0.5, clip, tuple(slots))
    says = "should take each latent frame's clip from its position"
    close(says, f"position_ids = {slots}", joint, velocity(clip, noise)[:, :, slots], 1e-4)
    grey = answer(None, 0.5 * noise, 0.5, None, range(5))
    close("should head for grey where nothing was prepared", "prepared = None", grey, noise, 1e-4)


CHECKS: dict[str, Callable[[Answer], str | None]] = {
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
"""By the number of the exercise; a check says in words how good an answer is, or nothing."""


def check(name: str, answer: Answer) -> Card:
    """Try an answer to an exercise, such as "1.1": a card that says "passed", what failed on which input, or "open".

    Raises:
        SettingError: there is no such exercise.
    """
    if name not in CHECKS:
        raise SettingError(f"There is no exercise {name!r}; there are {', '.join(CHECKS)}.")

    def answered(*inputs: object) -> object:
        value = answer(*inputs)
        if value is None:
            raise WrongAnswerError("It returns nothing: end it with `return`.")
        return value

    try:
        status, words = "passed", CHECKS[name](answered) or "It has every property that was tried."
    except WrongAnswerError as error:
        status, words = "failed", str(error)
    except NotImplementedError:
        status, words = "open", "Write the missing lines, then run this cell again."
    except Exception as error:  # a student's mistake of any kind is an answer to report
        status, words = "failed", f"Your code raised {type(error).__name__}: {error}"
    sign, colour = _LOOKS[status]
    return Card(f"{sign} Exercise {name} {status}", words, colour)
