"""SlotMap on the Python side: slots, the problem in words, and the static picture."""

import base64
import re

import pytest

from flowedit.errors import KeyframeError
from flowedit.widgets.slot_map import SlotMap


def test_problem_and_slots_say_the_same():
    good, bad = SlotMap(33, keyframes=[0, 16]), SlotMap(33, keyframes=[13, 16])
    assert (good.problem, good.slots) == ("", (0, 4))
    with pytest.raises(KeyframeError) as caught:
        _ = bad.slots
    assert bad.problem == str(caught.value) != ""


def test_fallback_shows_every_slot_and_the_collision():
    """Catches a picture that leaves out the last slot, and a collision only told by colour."""
    text = SlotMap(33, keyframes=[13, 16]).fallback()
    picture = base64.b64decode(re.search(r"svg\+xml;base64,([^\"]+)", text)[1]).decode()
    assert [int(n) for n in re.findall(r">slot (\d+)<", picture)] == list(range(9))
    assert picture.count("#b3261e") == 2
    assert "lie in one latent slot" in text
    assert re.search(r"<td>4</td><td>13</td><td>16</td><td>13, 16</td><td>yes</td>", text)
