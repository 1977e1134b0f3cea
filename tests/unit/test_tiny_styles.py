"""Styles: what each family changes, and that validation and test have colours of their own."""

import pytest
import torch

from flowedit.errors import SettingError
from flowedit.tiny.looks import LOOKS, look
from flowedit.tiny.splits import SHARES, Split, generator
from flowedit.tiny.style import identity, stylize
from flowedit.tiny.vocabulary import WORDS
from flowedit.tiny.world import render, sample_scene
from training.families import Family, hue_turn, sample


@pytest.fixture(scope="module")
def clip():
    return render(sample_scene(generator(Split.TEST, 1), 4, 5), 48, 48)


def style_generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_identity_changes_nothing(clip):
    torch.testing.assert_close(stylize(clip, identity(style_generator(), 4)), clip.rgb, atol=2e-4, rtol=0)


@pytest.mark.parametrize("family", list(Family))
def test_each_family_changes_the_picture_and_is_the_same_each_time(clip, family):
    first, again = (stylize(clip, sample(style_generator(5), 4, Split.TEST, family)) for _ in range(2))
    assert torch.equal(first, again)
    assert (first - clip.rgb).abs().mean() > 0.005
    assert first.min() >= 0
    assert first.max() <= 1


@pytest.mark.parametrize("family", [Family.EDGES, Family.GEOMETRY])
def test_line_families_leave_flat_bright_regions_alone(clip, family):
    changed = (stylize(clip, sample(style_generator(3), 4, Split.TEST, family)) - clip.rgb).abs().amax(2, keepdim=True)
    away = torch.nn.functional.max_pool2d(clip.ink.flatten(0, 1), 11, 1, 5).view_as(clip.ink) < 0.01
    bright = clip.rgb.mean(2, keepdim=True) > 0.75  # hatching is drawn in shadows only
    if (away & bright).any():
        assert changed[away & bright].max() < 2e-3
    assert changed.max() > 0.2


def test_local_recolouring_follows_the_objects_not_the_screen(clip):
    style = sample(style_generator(2), 4, Split.TEST, Family.LOCAL)
    untouched = (style.recolour == torch.eye(3)).all(-1).all(-1)
    changed = (stylize(clip, style) - clip.rgb).abs().amax(2)
    for row in range(4):
        for layer in range(5):
            inside = clip.ids[row, :, 0] == layer
            if inside.any() and untouched[row, layer]:
                assert changed[row][inside].max() < 2e-3


def test_posterising_leaves_few_tones(clip):
    def on_three_tones(picture):
        return ((picture * 2 - (picture * 2).round()).abs() < 0.05).float().mean()

    style = identity(style_generator(), 4)
    style.levels.fill_(3)
    assert on_three_tones(stylize(clip, style)) > 0.75
    assert on_three_tones(clip.rgb) < 0.5


def test_hatching_stuck_to_surfaces_moves_with_them(clip):
    """The same clip, hatched on the screen and on the surfaces: only the second has strokes that follow the motion."""
    style = identity(style_generator(), 4)
    style.hatch.fill_(0.8)
    on_screen = stylize(clip, style)
    style.stuck.fill_(1)
    assert (stylize(clip, style) - on_screen).abs().mean() > 0.01


@pytest.mark.parametrize("name", list(LOOKS))
def test_every_named_look_has_a_word_and_an_effect(name):
    assert name in WORDS
    clip, style = render(sample_scene(generator(Split.TEST, 1), 1, 5), 48, 48), look(name, style_generator())
    assert style.words == [name]
    assert (stylize(clip, style) - clip.rgb).abs().mean() > 0.01


def test_an_unknown_look_is_refused_by_name():
    with pytest.raises(SettingError, match=r"'cubist'.*watercolour"):
        look("cubist", style_generator())


def test_a_turn_of_hue_keeps_grey_and_a_third_of_a_turn_shifts_the_channels():
    turn = hue_turn(torch.tensor([2 * torch.pi / 3]))[0]
    torch.testing.assert_close(turn @ torch.tensor([0.4, 0.4, 0.4]), torch.tensor([0.4, 0.4, 0.4]))
    torch.testing.assert_close(turn @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("split", list(Split))
def test_hatching_directions_come_from_the_splits_own_interval(split):
    style = sample(style_generator(9), 64, split, Family.EDGES)
    low, high = SHARES[split].keys
    key = style.angle / torch.pi
    assert (key >= low).all()
    assert (key <= high).all()
    assert key.max() - key.min() > 0.7 * (high - low)
