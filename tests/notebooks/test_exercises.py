"""Checks of exercises: the solution passes, the stub is open, and every planted mistake is rejected."""

import ast

import numpy as np
import pytest
import torch

from flowedit import lessons
from flowedit.estimate import estimate
from flowedit.frames import slot_of
from notebooks.publish import build
from notebooks.publish.build import part
from notebooks.publish.catalog import CATALOG
from tests.notebooks.lessons_on_disk import code_of, every_lesson, exercises_of

SOLUTIONS = {name: solution for lesson in CATALOG for name, _, _, solution in exercises_of(lesson)}

MUTANTS = {
    "0.1": [
        (".astype(float)", ""),
        ("change / own", "own / change"),
        ("change / own", "change"),
        ("np.abs(np.diff(clip.astype(float), axis=0)).mean()", "np.abs(np.diff(clip.astype(float), axis=0).mean())"),
    ],
    "1.1": [
        ("v_main + (", "v_main - ("),
        ("- (v_main - v_key) * dt", "+ (v_main - v_key) * dt"),
        ("- (v_main - v_key) * dt", ""),
        ("(x_main - x_key)", "(x_key - x_main)"),
        ("kappa / dt", "kappa"),
        ("kappa / dt", "1 / dt"),
        ("v_main + (kappa", "v_key + (kappa"),
    ],
    "2.1": [
        ("(noise_a**2).sum() / 2 - (noise_b**2).sum() / 2", "(noise_b**2).sum() / 2 - (noise_a**2).sum() / 2"),
        ("np.exp((noise_a**2).sum() / 2 - (noise_b**2).sum() / 2)", "1"),
        ("(1 - sigma) * c", "c"),
        ("(noise_a**2).sum() / 2 - (noise_b**2).sum() / 2", "(noise_a**2).sum() - (noise_b**2).sum()"),
        ("share * (x - a) / sigma", "share * (a - x) / sigma"),
        ("(x - b) / sigma", "(x - b)"),
    ],
    "2.2": [
        ("return v_target(x_target, sigma) - v_source", "return v_source(x_source, sigma) - v_target"),
        ("z + x_source - source", "z + x_source"),
        ("z + x_source - source", "z - x_source + source"),
        ("v_target(x_target, sigma)", "v_target(z, sigma)"),
        ("v_source(x_source, sigma)", "v_source(source, sigma)"),
        ("(1 - sigma) * source + sigma * noise", "sigma * source + (1 - sigma) * noise"),
    ],
    "3.1": [
        ("else 5", "else 4"),
        ("else 5", "else 1"),
        ("1 if slot_of(index) == 0 else 5", "5"),
        ("slot_of(index) == 0", "slot_of(index) == 1"),
        ("slot_of(index) == 0", "index <= 1"),
        ("slot_of(4 * (count > 1))", "0"),
        ("slot_of(4 * (count > 1))", "1"),
        ("image[None]", "image[None, ::-1]"),
    ],
    "3.2": [
        ("*slots", "*range(num_slots, num_slots + len(slots))"),
        ("*slots", "*range(len(slots))"),
        ("*slots", "*sorted(slots)"),
        ("[*range(num_slots), *slots]", "[*slots, *range(num_slots)]"),
        ("range(num_slots)", "range(num_slots - 1)"),
    ],
    "4.1": [
        (".argmax()", ".argmin()"),
        ("np.subtract(means[1], means[0])", "np.array(means[1])"),
        (" - np.median(changes, axis=0)", ""),
        ("np.median(changes, axis=0)", "np.median(changes)"),
    ],
    "5.1": [
        ("+= kappa / dt * r", "-= kappa / dt * r"),
        ("kappa / dt * r", "kappa * r"),
        ("        v[:, :, at] += kappa / dt * r\n", ""),
        ("- (v[:, :, at] - v_key) * dt", ""),
        ("x_main - dt * v,", "x_main + dt * v,"),
        ("noise_key - keys", "keys - noise_key"),
        ("(1 - sigmas[0]) * source + sigmas[0] * noise", "noise"),
        ("    return x_main", "    x_main"),
        ("noise_key = noise[:, :, at]", "noise_key = torch.flip(noise[:, :, at], (0, 4))"),
    ],
    "6.1": [
        ("estimate(frames, keyframes).frames", "frames"),
        ("estimate(frames, keyframes).frames", "estimate(frames, keyframes).frames[:5]"),
        ("estimate(frames, keyframes).frames", "estimate(frames, keyframes).frames.astype(float)"),
    ],
    "7.1": [
        ("(i - 1) % 4", "i % 4"),
        ("slice(None) if i == 0 else ", ""),
        ("(i + 3) // 4", "i // 4"),
        ("(count + 3) // 4", "count // 4"),
        ("= 1", "= i"),
    ],
    "8.1": [
        ("latents - clip", "clip - latents"),
        (" / sigma", ""),
        (" / sigma", " * sigma"),
        ("prepared[:, :, list(position_ids)]", "prepared"),
        ("torch.zeros_like", "torch.ones_like"),
        ("(latents - clip)", "(latents - clip)[:, :, :1]"),
    ],
}


def checked(name, code):
    scope = {"np": np, "torch": torch, "slot_of": slot_of, "estimate": estimate}
    exec(code, scope)
    return lessons.check(name, scope[ast.parse(code).body[-1].name])


def imports_of(text):
    return "\n".join(
        ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)
    )


@pytest.mark.parametrize(("make", "status"), [(build.solution, "passed"), (build.student, "open")])
@every_lesson
def test_the_solution_passes_and_the_stub_is_open_after_the_imports_above_them(lesson, make, status):
    """Catches a wrong solution, a stub that answers, and a name that its notebook imports only further down."""
    scope, cards = {"lessons": lessons}, []
    for cell in code_of(make(lesson))[1:]:
        if part(cell) == "check":
            cards.append(eval(cell.source, scope))
        else:
            exec(cell.source if part(cell) in ("stub", "solution") else imports_of(cell.source), scope)
    assert len(cards) == len(list(exercises_of(lesson)))
    assert all(card.title.endswith(status) for card in cards), cards


@every_lesson
def test_no_later_cell_depends_on_an_exercise(lesson):
    """Catches a lesson that stops for who has not solved it, or whose outcome depends on the answer.

    With `test_the_notebooks_are_built_from_the_source` it follows that both builds run alike outside their exercises.
    """
    for name, stub, check, _ in exercises_of(lesson):
        answer = ast.parse(stub).body[-1].name
        others = [cell.source for cell in code_of(build.read_source(lesson)) if part(cell) != "setup"]
        used = [text for text in others if answer in {getattr(node, "id", "") for node in ast.walk(ast.parse(text))}]
        assert used == [check], name


@pytest.mark.parametrize(
    ("name", "mutant"), [(name, mutant) for name, mutants in MUTANTS.items() for mutant in mutants], ids=str
)
def test_every_planted_mistake_is_rejected(name, mutant):
    """Catches a check too weak to see a flipped sign, a missing factor, or an index off by one."""
    assert mutant[0] in SOLUTIONS[name], "the planted mistake no longer fits the solution"
    card = checked(name, SOLUTIONS[name].replace(mutant[0], mutant[1], 1).replace("+  ", "+ "))
    assert card.title.endswith("failed"), card
    assert len(card.words) < 400


def test_every_exercise_has_mutants():
    assert set(MUTANTS) == set(SOLUTIONS)
    assert all(len(mutants) >= 3 for mutants in MUTANTS.values())


def test_a_failed_check_names_the_property_and_the_input():
    words = lessons.check("3.1", lambda image, index: (image[None], 0)).words
    assert all(needed in words for needed in ("should", "index", "expected", "got"))


@pytest.mark.parametrize(
    ("name", "mutant", "says"),
    [
        ("1.1", ("v_main + (", "v_main - ("), "wrong way"),
        ("1.1", ("kappa / dt", "kappa"), "not divided by dt"),
        ("1.1", (" * dt", ""), "velocities without dt"),
        ("1.1", ("return ", ""), "returns nothing"),
        ("3.2", ("*slots", "*range(num_slots, num_slots + len(slots))"), "appended"),
        ("5.1", ("+= kappa", "-= kappa"), "wrong sign"),
        ("5.1", ("kappa / dt", "kappa"), "not divided by dt"),
        ("5.1", ("    return x_main", "    x_main"), "returns nothing"),
    ],
)
def test_a_forgotten_dt_sign_or_return_has_its_own_sentence(name, mutant, says):
    assert says in checked(name, SOLUTIONS[name].replace(*mutant)).words


def test_an_answer_that_raises_is_reported_not_raised():
    def broken(*_):
        raise ValueError("no such thing")

    assert "ValueError: no such thing" in lessons.check("1.1", broken).words
