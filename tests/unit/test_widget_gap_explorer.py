"""GapExplorer on the Python side: what it computes and what it refuses."""

import math

import pytest

from flowedit.widgets.gap_explorer import GapExplorer


def test_the_last_gap_with_an_ideal_field_is_the_last_push_alone():
    """Catches curves computed with another gain than the one that is named."""
    exact, euler = (GapExplorer(steps=20, gain=gain).curves() for gain in ("exact", "euler"))
    dt = exact.sigmas[-2]
    assert exact.corrected[-1] == pytest.approx(math.exp(-10 * dt), abs=1e-9)
    assert euler.corrected[-1] == pytest.approx(1 - 10 * dt, abs=1e-9)
    assert exact.corrected[-1] == pytest.approx(exact.last_only[-1], abs=1e-9)
    assert exact.never[-1] == pytest.approx(1, abs=1e-9)
    assert (exact.unstable, euler.unstable) == ((), (19,))


def test_fallback_says_the_numbers():
    widget = GapExplorer(gain="euler", spread=0.5)
    text = widget.fallback()
    assert f"{widget.curves().corrected[-1]:.4g}" in text
    assert '<img alt="euler gain, 20 steps' in text
    assert "The gap grows at 1 of 20 steps" in text
