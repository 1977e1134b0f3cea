"""A repair on a guess: where it is laid, and whose colours it keeps."""

import pytest
import torch

from flowedit.detail import common_change, lay_repair

SHAPE = (2, 3, 5, 24, 24)
MIX = torch.tensor([[0.9, 0.1, 0.0], [-0.05, 1.05, 0.1], [0.0, 0.1, 0.8]])


def clip() -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) - 0.5


def tinted(video: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ij,bjfhw->bifhw", MIX, video) + 0.06


def spot() -> torch.Tensor:
    """A change in one place alone."""
    change = torch.zeros(SHAPE)
    change[:, 0, 2, 4:8, 4:8] = 0.3
    return change


def test_colours_stay_the_guesss_where_keyframes_agree_and_what_is_local_is_laid():
    """Catches a tint of the model in place of a map fitted on all keyframes, and a repair that goes with the tint."""
    guess, everywhere = clip(), torch.ones(SHAPE[0], 1, *SHAPE[2:])
    laid = lay_repair(guess, tinted(guess) + spot(), everywhere, agreement=1.0)
    torch.testing.assert_close(laid, guess + spot(), atol=0.01, rtol=0)


@pytest.mark.parametrize("agreement", [0.0, torch.tensor([0.0, 0.0])])
def test_a_repair_brings_its_own_colours_where_keyframes_disagree(agreement):
    guess, everywhere = clip(), torch.ones(SHAPE[0], 1, *SHAPE[2:])
    torch.testing.assert_close(lay_repair(guess, tinted(guess), everywhere, agreement), tinted(guess))


def test_each_clip_has_its_own_agreement():
    guess, everywhere = clip(), torch.ones(SHAPE[0], 1, *SHAPE[2:])
    laid = lay_repair(guess, tinted(guess), everywhere, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(laid[0], tinted(guess)[0])
    torch.testing.assert_close(laid[1], guess[1], atol=3e-3, rtol=0)


def test_behind_a_mask_the_colours_are_judged_where_the_edit_was_free():
    """Catches a style applied twice in a mask: outside it the edit shows the source, the style's very inverse."""
    source, free = clip(), torch.zeros(SHAPE[2:])
    free[:, :6, :6] = 1
    guess = tinted(source)
    shown = torch.where(free > 0, guess + spot(), source)
    laid = lay_repair(guess, shown, torch.ones(SHAPE[0], 1, *SHAPE[2:]), 1.0, free.numpy())
    inside = (free > 0).expand(SHAPE)
    torch.testing.assert_close(laid[inside], (guess + spot())[inside], atol=0.03, rtol=0)


def test_a_change_of_nothing_gives_the_guess_back_to_the_bit():
    guess = clip()
    assert torch.equal(lay_repair(guess, guess.clone(), torch.ones(SHAPE[0], 1, *SHAPE[2:]), 1.0), guess)


def test_the_common_part_is_fitted_over_the_whole_clip_and_defined_for_one_colour():
    guess = clip()
    change = tinted(guess) - guess + spot()
    rest = change - common_change(guess, change)
    terms = torch.cat([guess, torch.ones_like(guess[:, :1])], dim=1)
    along = torch.einsum("bifhw,bjfhw->bij", terms, rest) / terms[0, 0].numel()
    assert along.abs().max() < 1e-3
    grey = torch.zeros(SHAPE)
    torch.testing.assert_close(common_change(grey, grey + 0.5), grey + 0.5, atol=1e-3, rtol=0)
