"""The report's plot: every finite reading is a mark in its place, and what cannot be drawn is said."""

import math
import re

import numpy as np
import pytest

from flowedit.keyframes import Keyframe
from flowedit.report.lines import PANELS, readings_plot
from flowedit.report.page import _plot
from flowedit.report.pictures import BAND, GAP, contact_sheet
from flowedit.trace import FIELDS, StepTrace, Trace


def trace(gaps, sigmas):
    """One step per tuple of gaps; the other readings are twice and three times the gaps'."""
    steps = [
        StepTrace(
            step=i,
            sigma=sigma,
            sigma_next=0.0,
            kappa=0.5,
            **{name: tuple(n * g for g in gap) for n, name in enumerate(FIELDS[:3], 2)},
            gap_norm=gap,
        )
        for i, (gap, sigma) in enumerate(zip(gaps, sigmas, strict=True))
    ]
    count = len(gaps[0])
    return Trace(keyframes=tuple(range(0, 4 * count, 4)), slots=tuple(range(count)), steps=steps)


def marks(picture):
    """Places of the marks, by panel."""
    panels = picture.split('<g transform="translate(')[1:]
    return [[(float(x), float(y)) for x, y in re.findall(r'circle cx="([-\d.]+)" cy="([-\d.]+)"', p)] for p in panels]


def test_every_finite_reading_is_a_mark_in_its_place():  # catches: axes the wrong way round, a keyframe left out
    picture = readings_plot(trace([(1.0, 0.5), (0.5, math.nan), (0.0, 0.25)], [0.9, 0.5, 0.1]))
    assert "nan" not in picture
    places = marks(picture)
    assert [len(panel) for panel in places] == [5] * len(PANELS)
    (left, top), (middle, half), (right, floor) = places[0][:3]
    assert left < middle < right  # noise at the left
    assert math.isclose(middle - left, right - middle, abs_tol=0.2)
    assert math.isclose(half - top, floor - half, abs_tol=0.2)
    assert floor > top


def test_one_step_is_a_table():
    """Catches three plots of lone dots over an axis with one end."""
    one = _plot(trace([(0.5, math.nan)], [0.3]))
    assert "<svg" not in one
    assert "One step, at sigma 0.3" in one
    assert "<th scope='row'>frame 0</th>" in one
    assert "<td>0.5</td>" in one
    assert "<th scope='row'>frame 4</th><td>nothing to reach</td>" in one
    assert "<svg" in _plot(trace([(0.5,), (0.2,)], [0.9, 0.3]))


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("size", [(64, 96), (480, 832)])
def test_the_names_of_rows_stay_beside_the_pictures(size, count):
    """Catches letters that grow with the sheet and run into the pictures beside and below."""
    white = np.full((count, *size, 3), 255, np.uint8)
    sheet = contact_sheet(white, white, [Keyframe(0, white[0])])
    grown = max(1, round(192 / size[0]))
    margin = sheet.shape[1] - count * (size[1] * grown + GAP)
    head = sheet.shape[0] - 3 * (size[0] * grown + GAP)
    assert head >= 2 * BAND
    names, pictures = np.split(sheet[head:], [margin - 4], axis=1)
    assert names.min() < 100
    assert pictures.min() == 255


@pytest.mark.parametrize("sigmas", [[0.3], [0.3, 0.3]])
def test_one_step_is_drawn_too(sigmas):  # catches: a division by a span of nothing
    places = marks(readings_plot(trace([(0.5,)] * len(sigmas), sigmas)))
    assert [len(panel) for panel in places] == [len(sigmas)] * len(PANELS)
    assert "nan" not in str(places)


def test_a_keyframe_with_nothing_to_reach_is_named_so():
    picture = readings_plot(trace([(math.nan, 0.5)], [0.3]))
    assert "frame 0 (nothing to reach)" in picture
    assert "frame 4<" in picture


def test_seven_keyframes_have_seven_names_inside_the_picture():
    picture = readings_plot(trace([(0.1,) * 7], [0.3]))
    assert all(f"frame {4 * k}<" in picture for k in range(7))
    width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', picture).groups())
    names = [tuple(map(float, place)) for place in re.findall(r'<text x="(\d+)" y="(\d+)"[^>]*>frame', picture)]
    assert all(0 <= x < width - 60 and 0 < y < height for x, y in names)
    assert len(set(names)) == 7
