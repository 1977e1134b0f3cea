"""The lessons' figures: whole, and never without words."""

import matplotlib as mpl
import pytest

from flowedit.errors import SettingError
from flowedit.lessons import look


@pytest.fixture(autouse=True)
def house_style():
    with mpl.rc_context({"backend": "agg"}):
        look.use_house_style()
        yield


def test_a_long_title_ends_inside_the_figure():
    """Catches the last words of a title cut off at the right edge."""
    fig, axes = look.figure(columns=2, height=2)
    axes[1].set(title="a title that is a good deal longer than its own panel")
    axes[0].set(title="short")
    look.fit_titles(fig)
    assert axes[1]._left_title.get_window_extent().x1 <= fig.bbox.x1
    assert axes[0]._left_title.get_fontsize() > axes[1]._left_title.get_fontsize() >= 7


def test_a_picture_without_words_is_refused():
    fig, _ = look.figure()
    with pytest.raises(SettingError, match="sentence"):
        look.show(fig, "two words")


def test_lines_differ_by_colour_and_dash():
    """Catches a style sheet that the house style does not reach."""
    looks = list(mpl.rcParams["axes.prop_cycle"])
    assert len({entry["color"] for entry in looks}) == len({entry["linestyle"] for entry in looks}) == 6
    assert look.COLOURS["blue"].lower() == f"#{looks[0]['color'].lower().removeprefix('#')}"
