"""Widgets that compute what they draw, on the Python side: flows in the plane, the gap law, slots."""

import math
import re

import numpy as np
import pytest

from flowedit.errors import KeyframeError
from flowedit.frames import slots_of
from flowedit.widgets import FlowField2D, GapExplorer, SlotMap


def test_trajectories_start_where_the_mode_says_and_land_on_the_target():
    """Catches modes exchanged, and noise that the widget does not send to the browser."""
    generate = FlowField2D(scene="points", particles=5)
    edit = FlowField2D(scene="points", particles=5, mode="edit", solver="heun")
    np.testing.assert_array_equal(generate.trajectories()[0], generate.noise)
    np.testing.assert_array_equal(edit.trajectories()[0], edit.scenes["points"]["samples"])
    for widget in (generate, edit):
        np.testing.assert_allclose(widget.trajectories()[-1], np.tile([1.5, 0.8], (5, 1)), atol=1e-9)


def test_the_last_gap_with_an_ideal_field_is_the_last_push_alone():
    """Catches curves computed with another gain than the one that is named."""
    exact, euler = (GapExplorer(steps=20, gain=gain).curves() for gain in ("exact", "euler"))
    dt = exact.sigmas[-2]
    assert exact.corrected[-1] == pytest.approx(math.exp(-10 * dt), abs=1e-9)
    assert euler.corrected[-1] == pytest.approx(1 - 10 * dt, abs=1e-9)
    assert exact.corrected[-1] == pytest.approx(exact.last_only[-1], abs=1e-9)
    assert exact.never[-1] == pytest.approx(1, abs=1e-9)
    assert (exact.unstable, euler.unstable) == ((), (19,))


def test_fallback_shows_every_slot_and_the_collision_in_the_packages_words():
    """Catches a table that leaves out the last slot, and a collision only told by colour."""
    with pytest.raises(KeyframeError) as caught:
        slots_of([13, 16], 33)
    text, problem = (getattr(SlotMap(33, keyframes=[13, 16]), name) for name in ("fallback", "problem"))
    assert (problem, SlotMap(33, keyframes=[0, 16]).problem) == (str(caught.value), "")
    text = text()
    assert '<img alt="33 frames in 9 slots, keyframes [13, 16]"' in text
    assert [int(n) for n in re.findall(r'<th scope="row">(\d+)</th>', text)] == list(range(9))
    assert "lie in one latent slot" in text
    assert re.search(r"4</th><td>13</td><td>16</td><td>13, 16</td><td>yes</td>", text)
