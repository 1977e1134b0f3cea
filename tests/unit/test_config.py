"""Settings: what makes no sense is refused with value, rule and cure; what is unusual warns; what is usual does not."""

import json
import math
import warnings

import pytest

from flowedit.errors import SettingError, UnusualSettingWarning
from flowedit.settings import EditSettings


def test_the_defaults_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EditSettings()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps is 0; it must be a whole number of at least 1. Use 20 to 50"),
        ({"steps": 2.5}, "steps is 2.5; it must be a whole number"),
        ({"alpha": -0.1}, "alpha is -0.1; it must be at least 0. Use 10, or 0 for no correction"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"alpha": math.inf}, "alpha is inf"),
        ({"beta": 1.01}, r"beta is 1.01; it must be in \[0, 1\]. Use 0 to leave the keyframes alone"),
        ({"strength": 0.0}, r"strength is 0.0; it must be in \(0, 1\]. Use 0.8"),
        ({"strength": 1.5}, "strength is 1.5"),
        ({"scale": 0.0}, r"scale is 0.0; it must be in \(0, 1\]. Use 1, or 0.5"),
        ({"scale": 0.5, "detail": "plain"}, "scale is 0.5 and detail is plain"),
        ({"shift": 0.0}, "shift is 0.0; it must be positive. Use 5"),
        ({"seed": -1}, "seed is -1; it must be a whole number in .* Use 0"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"guidance": -1.0}, "guidance is -1.0; it must be at least 0. 1 is off"),
        ({"source_guidance": math.inf}, "source guidance is inf; it must be at least 0"),
        ({"kappa": 1.5}, r"kappa is 1.5; it must be in \[0, 1\]. 0 corrects nothing"),
        ({"conditioning": "image"}, "conditioning is 'image'; use one of tokens, i2v, both, none"),
        ({"keyframe_encoding": "mean"}, "keyframe encoding is 'mean'; use one of still, hold, delta"),
        ({"branch": "loose"}, "branch is 'loose'; use one of free, anchored"),
        ({"positions": "same"}, "positions is 'same'; use one of shared, appended, restarted"),
        ({"gain": "linear"}, "gain is 'linear'; use one of exact, euler"),
        ({"init": "zero"}, "init is 'zero'; use one of source, propagated, noise"),
        ({"fill": "guess", "conditioning": "tokens"}, "only the i2v route shows it"),
        ({"fill": "guess", "method": "difference"}, "only coupled repairs a guess"),
        ({"detail": "sharp"}, "detail is 'sharp'; use one of plain, residual"),
        ({"noise": "white"}, "noise is 'white'; use one of coupled, fresh"),
        ({"init": "noise"}, "init is noise and strength is 0.8; pure noise starts at strength 1. Use strength 1"),
        (
            {"init": "noise", "strength": 1.0, "method": "difference"},
            "init is noise and the method is difference; it edits a clip. Use the method coupled",
        ),
        (
            {"branch": "free", "conditioning": "i2v"},
            "branch is free and conditioning is i2v; only keyframe tokens can move freely. Use conditioning tokens",
        ),
        ({"noise": "fresh"}, "noise is fresh and the method is coupled; only difference .* Use noise coupled"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(SettingError, match=words):
        EditSettings(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"branch": "free", "conditioning": "tokens"},
        {"branch": "free", "conditioning": "both"},
        {"noise": "fresh", "method": "difference"},
        {"init": "noise", "strength": 1.0, "detail": "plain"},
        {"alpha": 0.0},
        {"kappa": 0.0},
        {"kappa": 0.5, "alpha": 10.0},
        {"method": "difference", "strength": 1.0},
    ],
)
def test_settings_that_go_together_are_silent(changes):  # catches: a check that is too wide
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EditSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": 30.0}, "alpha is 30.0; 1 to 20 usually works"),
        ({"guidance": 12.0}, "guidance is 12.0; 1 to 10 usually works"),
        ({"steps": 3}, "steps is 3; 4 to 100 usually works"),
        ({"strength": 1.0}, "strength is 1; .*the clip cannot shape it. Use 0.5 to 0.9"),
        ({"init": "noise", "strength": 1.0}, "init is noise and detail is residual; .* Use plain"),
    ],
)
def test_unusual_settings_warn(changes, words):
    with pytest.warns(UnusualSettingWarning, match=words):
        EditSettings(**changes)


def test_a_rate_beside_a_share_is_refused_and_a_default_rate_is_not():  # catches: an alpha that nobody reads
    with pytest.raises(SettingError, match=r"alpha is 4.0 and kappa is 0.5; .* Leave one of them out"):
        EditSettings(alpha=4.0, kappa=0.5)
    assert EditSettings(kappa=0.5).alpha == EditSettings.alpha


def test_a_changed_copy_takes_one_of_rate_and_share_for_the_other():
    rate, share = EditSettings(alpha=4.0), EditSettings(kappa=0.5)
    assert (rate.with_(kappa=0.25).alpha, rate.with_(kappa=0.25).kappa) == (EditSettings.alpha, 0.25)
    assert (share.with_(alpha=4.0).alpha, share.with_(alpha=4.0).kappa) == (4.0, None)
    assert (rate.with_(seed=1).alpha, share.with_(seed=1).kappa, rate.with_(kappa=None).alpha) == (4.0, 0.5, 4.0)
    with pytest.raises(SettingError, match=r"alpha is 3.0 and kappa is 0.5"):
        rate.with_(alpha=3.0, kappa=0.5)


def test_a_changed_copy_is_checked_too():
    settings = EditSettings(seed=3)
    assert settings.with_(steps=7).steps == 7
    assert settings.with_(steps=7).seed == 3
    with pytest.raises(SettingError, match="strength is 2"):
        settings.with_(strength=2.0)


def test_every_setting_goes_into_the_manifest():  # catches: a setting that is used but not recorded
    settings = EditSettings(prompt="a cat", kappa=0.5)
    data = json.loads(json.dumps(settings.to_dict()))
    assert EditSettings(**data) == settings
    assert data["kappa"] == 0.5
