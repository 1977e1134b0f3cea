"""What a model works at by default: its own checkpoint's clip, and presets in which nothing goes unread."""

import pytest
from official import lay_out

from flowedit.correction import Constant
from flowedit.errors import ModelError, SettingError
from flowedit.presets import KNOWN, model_defaults, preset_settings
from flowedit.wan.checkpoints import ALIASES, CHECKPOINTS, resolve

# Height, width, frames, frames a second and multiple of both sides, as the authors of each checkpoint give them.
OFFICIAL = {
    "Wan2.1-T2V-1.3B": (480, 832, 81, 16, 16),
    "Wan2.1-Fun-1.3B-InP": (480, 832, 81, 16, 16),
    "Wan2.1-VACE-1.3B": (480, 832, 81, 16, 16),
    "Bernini-R-1.3B": (480, 848, 81, 16, 16),
    "Wan2.1-T2V-14B": (480, 832, 81, 16, 16),
    "Wan2.1-I2V-14B-480P": (480, 832, 81, 16, 16),
    "Wan2.1-I2V-14B-720P": (720, 1280, 81, 16, 16),
    "Wan2.1-FLF2V-14B-720P": (720, 1280, 81, 16, 16),
    "Wan2.1-VACE-14B": (480, 832, 81, 16, 16),
    "Wan2.2-TI2V-5B": (704, 1280, 121, 24, 32),
    "Wan2.2-I2V-A14B": (480, 832, 81, 16, 16),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_model_works_at_the_clip_that_its_authors_name(name):  # catches: one size and length for every real model
    height, width, frames, _, multiple = OFFICIAL[name]
    entry, defaults = resolve(name), model_defaults(name)
    assert (entry.height, entry.width_px, entry.num_frames, entry.fps, entry.size_multiple) == OFFICIAL[name]
    assert (defaults.area, defaults.window, defaults.multiple) == (height * width, frames, multiple)
    assert set(defaults.presets) == {"default", "draft", "method"}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_model_is_edited_by_its_authors_steps_and_a_route_that_it_has(name):
    """Catches one sampling for all models, and a default that every keyframe of a text model runs into."""
    entry, settings = resolve(name), preset_settings(name)
    assert (settings.steps, settings.shift, settings.guidance) == (entry.steps, entry.shift, entry.guidance)
    route = {"i2v": entry.image_route, "tokens": "tokens"}[settings.conditioning]
    assert route in entry.routes
    assert route != "first-latent", "keyframes after the first would be refused"
    assert preset_settings(name, "draft").steps < settings.steps


def test_an_alias_and_a_folder_mean_their_checkpoint(tmp_path):  # catches: a path that falls back to 480p
    for alias, name in ALIASES.items():
        assert model_defaults(alias) == model_defaults(name)
    entry = resolve("Wan2.2-TI2V-5B")
    lay_out(entry, tmp_path / "mine")
    assert model_defaults(tmp_path / "mine") == model_defaults(entry.name)
    assert model_defaults(str(tmp_path / "mine")).window == 121


@pytest.mark.parametrize(("name", "words"), [("2B", "no checkpoint '2B'"), ("no/such", "no file or folder no/such")])
def test_a_model_that_does_not_exist_is_refused(name, words):  # catches: defaults for whatever was mistyped
    with pytest.raises(ModelError, match=words):
        model_defaults(name)
    with pytest.raises(ModelError, match=words):
        preset_settings(name)


@pytest.mark.parametrize("name", KNOWN)
def test_a_rate_beside_a_share_is_refused_and_each_alone_is_taken(name):
    """Catches an alpha that nobody reads, and a preset that takes no kappa."""
    with pytest.raises(SettingError, match=r"alpha is 10.0 and kappa is 0.5; .*Leave one of them out"):
        preset_settings(name, "method", alpha=10.0, kappa=0.5)
    assert preset_settings(name, "method", kappa=0.5).gain == Constant(0.5)
    assert preset_settings(name, "method", alpha=3.0, kappa=None).alpha == 3.0


def test_a_method_brings_its_own_grid_whatever_the_preset():
    """Catches one step with little noise left to a method that needs eight."""
    for method in ("difference", "coupled"):
        settings = preset_settings("tiny", "draft", method=method)
        assert settings == preset_settings("tiny", "method", method=method)
    assert preset_settings("1.3B", "draft", method="coupled").steps == preset_settings("1.3B", "draft").steps
    assert preset_settings("1.3B", method="propagation").classical


def test_only_a_model_that_was_trained_for_it_refines():
    assert preset_settings("tiny").method == "refine"
    with pytest.raises(SettingError, match=r"was not trained for it\. Use coupled or difference"):
        preset_settings("1.3B", method="refine")
