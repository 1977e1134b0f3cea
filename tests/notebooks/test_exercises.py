"""Checks of exercises: the solution passes, the stub is open, and every planted mistake is rejected."""

import numpy as np
import pytest
import torch

from flowedit.frames import slot_of
from flowedit.lessons import checks
from tests.notebooks.lessons_on_disk import LESSONS, exercises_of

EXERCISES = {name: (stub, solution) for lesson in LESSONS for name, stub, _, solution in exercises_of(lesson)}

MUTANTS = {
    "0.1": [
        ("(count - 1)", "count"),
        (" + 1", ""),
        ("// 4 * 4", "// 8 * 8"),
        ("(count - 1) // 4 * 4 + 1", "count // 4 * 4"),
        ("(count - 1) // 4 * 4 + 1", "(count + 2) // 4 * 4 + 1"),
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
    "1.2": [
        ("dt.max()", "dt.min()"),
        ("dt.max()", "dt[0]"),
        ("dt.max()", "dt.mean()"),
        (" * (1 + beta)", ""),
        ("2 / ", "1 / "),
        ("-np.diff", "np.diff"),
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
    "4.1": [
        ("faults[i] > 0 and ", ""),
        (" and attempts[i] < redo", ""),
        ("attempts[i] < redo", "attempts[i] <= redo"),
        ("attempts[i] < redo", "attempts[i] < redo - 1"),
        ("sorted(", "list("),
        ("faults[i] > 0", "faults[i] == 0"),
        ("faults[i] > 0", "faults[i] > 1"),
    ],
    "5.1": [
        ("(source - key) ** 2", "(key) ** 2"),
        ("(source - key) ** 2", "(source) ** 2"),
        ("(x_main - x_key) ** 2", "(x_main - key - source) ** 2"),
        (" / whole if whole > 0 else 0.0", " / whole"),
        (" / whole if", " if"),
        ("np.sqrt(np.mean((x_main - x_key) ** 2))", "np.mean((x_main - x_key) ** 2)"),
    ],
    "6.1": [
        (">= distance", "> distance"),
        ("min(abs", "max(abs"),
        ("abs(i - k)", "(i - k)"),
        ("range(count)", "range(1, count)"),
        ("range(count)", "range(count - 1)"),
    ],
    "7.1": [
        (" + keyframes", ""),
        ("// 4 + 1", "// 4"),
        ("(frames - 1) // 4", "(frames + 3) // 4"),
        ("(height // 16)", "(height // 8)"),
        (" * (width // 16)", ""),
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


def status(name, code):
    scope = {"np": np, "torch": torch, "slot_of": slot_of}
    exec(code, scope)
    answer = next(
        value for key, value in reversed(scope.items()) if callable(value) and key not in ("np", "torch", "slot_of")
    )
    return checks.check(name, answer)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes_and_the_stub_is_open(name):
    stub, solution = EXERCISES[name]
    assert status(name, solution).status == "passed", status(name, solution)
    assert status(name, stub).status == "open"


@pytest.mark.parametrize(
    ("name", "mutant"), [(name, mutant) for name, mutants in MUTANTS.items() for mutant in mutants], ids=str
)
def test_every_planted_mistake_is_rejected(name, mutant):
    """Catches a check too weak to see a flipped sign, a missing factor, or an index off by one."""
    _, solution = EXERCISES[name]
    assert mutant[0] in solution, "the planted mistake no longer fits the solution"
    result = status(name, solution.replace(mutant[0], mutant[1], 1).replace("+  ", "+ "))
    assert result.status == "failed", result
    assert len(result.message) < 400


def test_every_exercise_has_mutants():
    assert set(MUTANTS) == set(EXERCISES)
    assert all(len(mutants) >= 3 for mutants in MUTANTS.values())


def test_a_failed_check_names_the_property_and_the_input():
    result = checks.check("1.2", lambda sigmas, beta: 1e6)
    assert result.status == "failed"
    for needed in ("should", "steps", "expected", "got"):
        assert needed in result.message


def test_an_answer_that_raises_is_reported_not_raised():
    def broken(*_):
        raise ValueError("no such thing")

    assert "ValueError: no such thing" in checks.check("1.1", broken).message


def test_report_lists_the_latest_results():
    checks.check("1.1", lambda *_: 0.0)
    assert {result.name for result in checks.report()} >= {"1.1"}
