"""Displays of results: whole without a notebook's help, quiet towards the network, and true to the numbers."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from flowedit.edit.result import EditResult
from flowedit.keyframes import Keyframe
from flowedit.settings import EditSettings
from flowedit.trace import FIELDS, StepTrace, Trace

NAN = math.nan


def trace(*gaps):
    """One step per tuple of gaps; the other readings tell step, keyframe and reading apart."""
    steps = []
    for i, gap in enumerate(gaps):
        others = {name: tuple(100 * n + 10 * i + k for k in range(len(gap))) for n, name in enumerate(FIELDS[:3], 1)}
        steps.append(StepTrace(step=i, sigma=1 - i / 9, sigma_next=1 - (i + 1) / 9, kappa=0.5, gap_norm=gap, **others))
    return Trace(keyframes=(0, 4), slots=(0, 1), method="coupled", alpha=3.0, steps=steps)


def clip(offset=0):
    """Five frames, each of its own flat colour."""
    return np.stack([np.full((16, 32, 3), (40 * i + offset, 90, 20), np.uint8) for i in range(5)])


def result(**changes):
    given = {
        "frames": clip(60),
        "source": clip(),
        "keyframes": (Keyframe(0, clip(9)[0]), Keyframe(4, clip(9)[4])),
        "settings": EditSettings(prompt='a <b>"quoted"</b> & sunny look'),
        "trace": trace((0.5, 0.25), (0.125, NAN)),
    }
    return EditResult(**{"model": "tiny", "seconds": {"steps": 1.5}, **given, **changes})


class Reader(HTMLParser):
    """Tags left open, addresses named, text alternatives, and cells."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.alternatives, self.cells = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag in ("img", "video"):
            self.alternatives.append(attrs.get("alt") or attrs.get("aria-label"))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


SHOWN = {
    "result": result,
    "result of no step": lambda: result(trace=trace(), keyframes=()),
    "trace": lambda: trace((1.0, 0.5), (0.5, 0.25)),
    "trace without a gap": lambda: trace((NAN, NAN)),
    "empty trace": lambda: Trace(keyframes=(), slots=()),
    "keyframe": lambda: Keyframe(4, clip()[4]),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_display_is_whole_and_asks_for_nothing(name, tmp_path):
    """Catches tags left open, text that is taken for HTML, a picture without words, and an address."""
    shown = SHOWN[name]()
    page = shown.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    for text in (page, shown._repr_html_()):
        read = Reader(text)
        assert read.open == []
        assert all(address.startswith("data:") for address in read.addresses)
        assert "http" not in re.sub(r"data:[^\"]*|http-equiv", "", text)
        assert read.alternatives
        assert all(read.alternatives)
        assert "nan" not in [cell.lower() for cell in read.cells]
    assert "default-src 'none'" in page
    bundle = shown._repr_mimebundle_()
    assert bundle["text/html"] == shown._repr_html_()
    assert "\n" not in bundle["text/plain"]
    assert len(bundle["text/plain"]) < 120
    json.dumps(bundle)


def lines_of(axis):
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in axis.get_lines()}


def test_the_readings_figure_draws_each_reading_over_sigma():
    """Catches readings, keyframes or steps exchanged, and an axis that runs from data to noise."""
    shown = trace((1.0, 0.5), (0.75, NAN))
    panels = shown.plot().axes
    for axis, (base, reading) in zip(panels[1:], ((100, "r_k_norm"), (200, "v_diff_norm")), strict=True):
        lines = lines_of(axis)
        for k, keyframe in enumerate((0, 4)):
            np.testing.assert_array_equal(lines[f"frame {keyframe}"], shown.array(reading)[:, k])
            np.testing.assert_array_equal(lines[f"frame {keyframe}"], [base + k, base + 10 + k])
    np.testing.assert_array_equal(lines_of(panels[0])["frame 4"], [0.5, NAN])
    assert panels[0].get_xlim()[0] > panels[0].get_xlim()[1]
    assert len({(line.get_linestyle(), line.get_marker()) for line in panels[0].get_lines()}) == 2


def test_a_keyframe_that_was_left_unstyled_is_named_and_not_drawn_and_a_figure_shows_itself():
    """Catches a notebook that prints `<Figure size ...>` because nothing imported pyplot."""
    shown = trace((0.5, NAN), (0.25, NAN))
    assert set(lines_of(shown.plot().axes[0])) == {"frame 0", "frame 4 (nothing to measure)"}
    assert Reader(shown._repr_html_()).cells.count("\N{EN DASH}") == 2
    assert shown.plot()._repr_png_().startswith(b"\x89PNG")


def test_the_strip_shows_each_frame_under_its_number():
    """Catches source and edit exchanged, and keyframes under another frame."""
    axes = result().plot().axes
    pictures = np.array([axis.images[0].get_array()[0, 0, 0] if axis.images else -1 for axis in axes]).reshape(3, 5)
    assert [axis.get_title() for axis in axes[:5]] == [f"frame {i}" for i in range(5)]
    assert [axes[i].get_ylabel() for i in (0, 5, 10)] == ["source", "keyframes", "edited"]
    np.testing.assert_array_equal(pictures[0], [0, 40, 80, 120, 160])
    np.testing.assert_array_equal(pictures[1], [9, -1, -1, -1, 169])
    np.testing.assert_array_equal(pictures[2], [60, 100, 140, 180, 220])
    assert Keyframe(4, clip()[3])._repr_mimebundle_()["text/plain"] == "Keyframe at frame 4, slot 1, 16x32"


def test_a_result_says_its_settings_and_what_is_left():
    """Catches a prompt taken for HTML, and a NaN gap that hides the others."""
    cells = Reader(result().to_html()).cells
    assert 'a <b>"quoted"</b> & sunny look' in cells
    assert cells[cells.index("final gap") + 1] == "0.125"
    assert cells[cells.index("negative_prompt") + 1] == "(empty)"


def test_large_pictures_are_scaled_down():
    grain = np.random.default_rng(0).integers(0, 256, (480, 832, 3), dtype=np.uint8)
    assert len(Keyframe(0, grain)._repr_html_()) < 300_000
    assert len(replace(result(), source=np.stack([grain] * 5), frames=np.stack([grain] * 5))._repr_html_()) < 400_000
