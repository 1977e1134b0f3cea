"""Advice after an edit: the keyframe that was missed is named, and one left unstyled is not."""

import math

import numpy as np
import pytest

from flowedit.advice import advise
from flowedit.config import EditSettings
from flowedit.keyframes import Keyframe
from flowedit.result import EditResult
from flowedit.trace import READINGS, StepTrace, Trace


def edited(*gaps):
    """An edit of five grey frames whose keyframes were reached up to these gaps."""
    clip = np.full((5, 16, 16, 3), 90, np.uint8)
    readings = dict.fromkeys(READINGS[:3], (0.1, 0.1))
    step = StepTrace(step=0, sigma=1.0, sigma_next=0.0, kappa=0.5, gap_norm=gaps, **readings)
    return EditResult(
        frames=clip,
        source=clip,
        keyframes=(Keyframe(0, clip[0]), Keyframe(4, clip[4])),
        settings=EditSettings(),
        model="tiny",
        trace=Trace(keyframes=(0, 4), slots=(0, 1), steps=[step]),
    )


@pytest.mark.parametrize(
    ("gaps", "said"),
    [((0.5, 0.1), "Keyframe 0 was not reached: 50%"), ((math.nan, 0.4), "Keyframe 4 was not reached: 40%")],
)
def test_the_keyframe_that_was_missed_is_named(gaps, said):
    """Catches NaN, which counts as the largest, taken for the worst gap."""
    assert any(said in sentence for sentence in advise(edited(*gaps)))


@pytest.mark.parametrize("gaps", [(math.nan, 0.1), (math.nan, math.nan), (0.1, 0.2)])
def test_keyframes_that_were_reached_or_left_unstyled_are_not(gaps):
    assert not any("was not reached" in sentence for sentence in advise(edited(*gaps)))
