"""CoupledStage: the browser's arithmetic against the package's own, its switches, and life without a kernel."""

import itertools

import numpy as np
import pytest

from flowedit.correction import Constant, Exact
from flowedit.toy import stage
from flowedit.widgets import CoupledStage

from .conftest import pixels
from .examples import scene

SWITCHES = ("one_noise", "shared_position", "corrected")


def moments_of(root):
    """Noise level, edit, noised frames and noised keyframe of every moment, flat."""
    moments = root.evaluate("(root) => root.feValues()")
    return np.array([[m["sigma"], *np.ravel(m["edit"]), *np.ravel(m["main"]), *m["key"], m["gap"]] for m in moments])


def computed(widget):
    return np.array([[m.sigma, *m.edit.ravel(), *m.x_main.ravel(), *m.x_key, m.gap] for m in widget.moments()])


def test_the_browser_equals_python_to_1e_9_from_disk(drawn):
    """Catches another field, a residual with the wrong noise, a token at another place, a wrong sign."""
    chosen = [dict(zip(SWITCHES, on, strict=True)) for on in itertools.product((True, False), repeat=3)]
    widgets = [
        CoupledStage(gain, seed=seed, **on) for on in chosen for gain, seed in ((Constant(0.25), 0), (Exact(10.0), 5))
    ]
    root = drawn(*widgets)
    for nth, widget in enumerate(widgets):
        np.testing.assert_allclose(moments_of(root.nth(nth)), computed(widget), rtol=0, atol=1e-9)


def test_its_words_are_what_python_measures(drawn):
    """Catches figures over other draws, and an unpainted keyframe that moves the clip in one form only."""
    root = drawn(CoupledStage(), CoupledStage(one_noise=False))
    for nth, one_noise in enumerate((True, False)):
        switches = stage.Switches(one_noise=one_noise)
        ends = np.array([stage.ends(switches, seed) for seed in range(24)])
        missed = stage.rms(ends - stage.SOURCE[stage.SLOT] - stage.STYLE)
        text = root.nth(nth).inner_text()
        assert f"ends {missed:.2f} from the painting" in text
        assert f"ends {stage.rms(stage.unpainted(switches, 24)):.2f} from its source" in text


def test_a_switch_changes_plane_gap_and_strip(drawn):
    root = drawn(CoupledStage(strips=scene(8, 64, 320), strips_name="scenes", at=16))
    root.page.wait_for_timeout(300)
    before, shown = moments_of(root), pixels(root.locator("canvas"))
    root.get_by_role("button", name="two").click()
    assert np.abs(moments_of(root) - before).max() > 0.1
    root.page.wait_for_timeout(100)
    assert (pixels(root.locator("canvas")) != shown).any()
    root.get_by_role("button", name="one for both").click()
    np.testing.assert_array_equal(moments_of(root), before)
    root.locator(".fe-stageplane").press("Home")
    assert "step 0 of 16" in root.get_by_role("slider", name="Step").get_attribute("aria-valuetext")


@pytest.mark.parametrize("one_noise", [True, False])
def test_one_noise_leaves_an_unpainted_clip_alone(one_noise):
    """Catches the claim of lesson 01 turned round."""
    strayed = stage.rms(stage.unpainted(stage.Switches(one_noise=one_noise), 20))
    assert strayed < 1e-12 if one_noise else strayed > 0.05
