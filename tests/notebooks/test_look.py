"""The lessons' figures: whole, and never without words."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from flowedit.errors import SettingError
from flowedit.lessons import look


@pytest.fixture(autouse=True)
def house_style():
    with mpl.rc_context({"backend": "agg"}):
        plt.style.use("flowedit.lessons.house")
        yield


def test_a_picture_without_words_is_refused():
    fig, _ = look.figure()
    with pytest.raises(SettingError, match="sentence"):
        look.show(fig, "two words")


def test_lines_differ_by_colour_and_dash():
    """Catches a style sheet that the house style does not reach."""
    looks = list(mpl.rcParams["axes.prop_cycle"])
    assert len({entry["color"] for entry in looks}) == len({entry["linestyle"] for entry in looks}) == 6
    assert looks[0]["color"].lower().removeprefix("#") == "0072b2"
