"""The judge: each fault is found, named, and found only where it is."""

import cv2
import numpy as np
import pytest
from agent_clips import picture, static_clip

from flowedit.agent.judge import judge_keyframes, structure_likeness
from flowedit.agent.painting import analyse, paint
from flowedit.agent.state import Styled
from flowedit.agent.stylers import LOOKS

SIZE = (120, 200)
FRAMES = dict(zip((0, 8, 16, 32), static_clip(33, SIZE)[[0, 8, 16, 32]], strict=True))
COFFEE = picture("coffee", SIZE)


def judged(pictures, card):
    styled = {k: (Styled(index=k, attempt=0, file="x.png", by="offline"), image) for k, image in pictures.items()}
    return judge_keyframes(FRAMES, styled, card)


def kinds(verdicts):
    return {k: tuple(fault.kind for fault in verdict.faults) for k, verdict in verdicts.items()}


def card_of(name="oil"):
    return analyse(list(FRAMES.values()), LOOKS[name], COFFEE if name == "transfer" else None)


def well(name="oil"):
    card = card_of(name)
    return card, {k: paint(frame, card, 0, 1.0) for k, frame in FRAMES.items()}


@pytest.mark.parametrize("name", LOOKS)
def test_every_look_passes_its_own_judge(name):
    card, pictures = well(name)
    assert kinds(judged(pictures, card)) == {0: (), 8: (), 16: (), 32: ()}


@pytest.mark.parametrize(
    ("name", "index", "spoilt", "kind"),
    [
        ("oil", 16, lambda image: np.ascontiguousarray(image[..., ::-1]), "colours"),
        ("oil", 8, lambda image: (image * 0.55).astype(np.uint8), "colours"),
        ("oil", 0, lambda image: cv2.GaussianBlur(np.roll(image, 50, axis=1), (0, 0), 8), "contours"),
        ("anime", 32, lambda image: FRAMES[32], "too_faint"),
    ],
)
def test_a_fault_is_found_in_the_keyframe_that_has_it(name, index, spoilt, kind):
    """Other colours, darker ones, lost contours, a source frame handed back: and none of it in a good keyframe."""
    card, pictures = well(name)
    pictures[index] = spoilt(pictures[index])
    found = kinds(judged(pictures, card))
    assert kind in found.pop(index)
    assert set(found.values()) == {()}


def test_a_palette_away_from_the_reference_is_found():
    card, pictures = well("transfer")
    pictures = {k: np.ascontiguousarray(255 - image) for k, image in pictures.items()}
    assert all("palette" in found for found in kinds(judged(pictures, card)).values())


def test_contours_are_compared_whatever_the_colours():
    image = picture(size=SIZE)
    assert structure_likeness(image, 255 - image) > 0.9
    assert structure_likeness(image, np.ascontiguousarray(image[:, ::-1])) < 0.35
    assert structure_likeness(image, np.full_like(image, 90)) == 0.0
