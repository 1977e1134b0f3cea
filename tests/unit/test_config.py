"""Settings: what makes no sense is refused with value, rule and cure; what is unusual warns; what is usual does not."""

import json
import math
import warnings
from typing import get_args

import pytest

from flowedit.correction import Constant, Euler, Exact
from flowedit.errors import SettingError, UnusualSettingWarning
from flowedit.estimate import CLASSICAL
from flowedit.methods import METHODS
from flowedit.settings import EditSettings, Method


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps is 0; it must be a whole number of at least 1. Use 20 to 50"),
        ({"alpha": -0.1}, "alpha is -0.1; it must be at least 0 and finite. Use 10, or 0"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"gain": "euler", "alpha": math.inf}, "alpha is inf"),
        ({"beta": 1.01}, r"beta is 1.01; it must be in \[0, 1\]. Use 0 to leave the keyframes alone"),
        ({"strength": 0.0}, r"strength is 0.0; it must be in \(0, 1\]. Use 0.8"),
        ({"shift": 0.0}, "shift is 0.0; it must be positive and finite. Use 5"),
        ({"seed": -1}, "seed is -1; it must be a whole number in .* Use 0"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"guidance": -1.0}, "guidance is -1.0; it must be at least 0. 1 is off"),
        ({"source_guidance": math.inf}, "source guidance is inf; it must be at least 0"),
        ({"kappa": math.nan}, "kappa is nan"),
        ({"kappa": 1.5}, r"kappa is 1.5; it must be in \[0, 1\]. 0 corrects nothing"),
        ({"conditioning": "image"}, "conditioning is 'image'; use one of tokens, i2v, both, none"),
        ({"keyframe_encoding": "mean"}, "keyframe encoding is 'mean'; use one of still, hold, delta"),
        ({"positions": "same"}, "positions is 'same'; use one of shared, appended, restarted"),
        ({"gain": "linear"}, "gain is 'linear'; use one of exact, euler"),
        ({"gain": "euler", "kappa": 0.5}, "gain is euler and kappa is 0.5; .* Leave one of them out"),
        ({"alpha": 10.0, "kappa": 0.5}, "alpha is 10.0 and kappa is 0.5; .* Leave one of them out"),
        ({"init": "source"}, "There is no setting 'init'; there are alpha, beta"),
        ({"method": "magic"}, "method is 'magic'; use one of coupled, difference, refine, colour-map, propagation"),
        ({"method": "refine", "conditioning": "tokens"}, "shown on the i2v route. Use conditioning i2v"),
        ({"method": "refine", "alpha": 3.0}, "method is refine, which has no correction .* Leave them out"),
        ({"method": "refine", "beta": 0.5}, "method is refine, which has no correction"),
        ({"detail": "sharp"}, "detail is 'sharp'; use one of plain, residual"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(SettingError, match=words):
        EditSettings.of(**changes)


@pytest.mark.parametrize("changes", [{}, {"alpha": 0.0}, {"kappa": 0.0}, {"method": "difference", "strength": 1.0}])
def test_settings_that_go_together_are_silent(changes):  # catches: a check that is too wide
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EditSettings.of(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": 30.0}, "alpha is 30.0; 1 to 20 usually works"),
        ({"guidance": 12.0}, "guidance is 12.0; 1 to 10 usually works"),
        ({"steps": 3}, "steps is 3; 4 to 100 usually works"),
        ({"strength": 1.0}, "strength is 1; .*the clip cannot shape it. Use 0.5 to 0.9"),
    ],
)
def test_unusual_settings_warn(changes, words):
    with pytest.warns(UnusualSettingWarning, match=words):
        EditSettings.of(**changes)


def test_a_changed_copy_takes_one_of_rate_and_share_for_the_other():  # catches: an alpha that nobody reads
    rate, share = EditSettings.of(alpha=4.0, gain="euler"), EditSettings.of(kappa=0.5)
    assert rate.with_(kappa=0.25).gain == Constant(0.25)
    assert share.with_(alpha=4.0).gain == share.with_(alpha=4.0, kappa=None).gain == Exact(4.0)
    assert rate.with_(alpha=3.0).gain == Euler(3.0), "the form stays"
    assert rate.with_(gain="exact").gain == Exact(4.0), "the rate stays"
    assert (rate.with_(seed=1).gain, share.with_(seed=1).gain) == (Euler(4.0), Constant(0.5))
    assert (rate.alpha, rate.kappa, share.alpha, share.kappa) == (4.0, None, None, 0.5)
    with pytest.raises(SettingError, match=r"alpha is 3.0 and kappa is 0.5"):
        rate.with_(alpha=3.0, kappa=0.5)


@pytest.mark.parametrize("words", [{"kappa": 0.5}, {"alpha": 4.0, "gain": "euler"}, {"alpha": 0.0}])
def test_every_setting_goes_into_the_manifest(words):  # catches: a setting that is used but not recorded
    settings = EditSettings.of(prompt="a cat", **words)
    data = json.loads(json.dumps(settings.to_dict()))
    assert EditSettings.of(**data) == settings
    assert data == {**data, **words}


@pytest.mark.usefixtures("unchecked")
def test_a_method_that_was_renamed_is_found_under_its_old_name_for_one_version():
    with pytest.warns(FutureWarning, match="method guess is now called estimate"):
        assert EditSettings.of(method="guess") == EditSettings(method="estimate")


def test_the_methods_that_can_be_chosen_are_those_that_there_are():  # catches: a method registered in one place alone
    assert get_args(Method) == (*METHODS, *CLASSICAL)
    assert [name for name in CLASSICAL if EditSettings(method=name).classical] == [*CLASSICAL]
