"""What a quality table says: the right rows, the right sign, and intervals that follow the scenes."""

import math

import pytest

from benchmarks import table as tables
from benchmarks.table import FIGURES, BenchTable, Interval, read_scores, write_scores
from flowedit.errors import SettingError

LEVELS = {"colour map": 25.0, "propagation": 27.0, "default": 30.0}


def scores(levels=LEVELS, scenes=4, conditions=("exact", "disagreeing")):
    """Each scene a little better than the last; scene 0 has a style of global colour."""
    return [
        {
            **{"split": "test", "row": row, "world": "own", "scene": scene, "draw": 0, "weights": ""},
            **{"family": "global colour" if scene == 0 else "thick outlines", "condition": condition},
            **dict.fromkeys(FIGURES, 1.0) | {"psnr_far": level + scene, "psnr_hidden": level - 1},
        }
        for row, level in levels.items()
        for scene in range(scenes)
        for condition in conditions
    ]


def cells(table):
    lines = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines())
    return {first: rest for first, *rest in lines}


def test_means_leave_global_colour_out_and_put_the_best_first():
    """Catches: styles that a colour map explains among the claims, and a table in the order of the scenes."""
    table = BenchTable(scores())
    assert str(table.mean("default")) == "32.00"
    assert list(cells(tables.means(table)))[2:] == ["default", "propagation", "colour map"]
    assert cells(tables.families(table, ("default",)))["default"] == ["30.00", "32.00"], "families stand apart"


def test_a_gain_is_the_first_row_over_the_second():  # catches: the difference taken the other way round
    table = BenchTable(scores())
    assert table.gain("default", "propagation").signed == "+3.00 [3.00, 3.00]"
    assert cells(tables.gains(table, "default", ("colour map",)))["own scenes"][1:3] == ["+5.00 [5.00, 5.00]"] * 2


def test_rows_are_paired_on_the_scenes_that_both_have():  # catches: a mean of other scenes paired with one of all
    table = BenchTable([*scores(), *scores({"tokens": 20.0}, scenes=2)])
    assert table.gain("default", "tokens").signed == "+10.00 [10.00, 10.00]"
    assert table.gain("default", "tokens").cases == 1
    assert table.gain("default", "never run").signed == ""


def test_draws_of_a_scene_count_once():  # catches: a scene that is drawn twice as two scenes
    drawn = [s | {"draw": 1, "psnr_far": 100.0} for s in scores() if s["scene"] == 1]
    table = BenchTable([*scores(), *drawn])
    assert dict(table.values("default", "psnr_far", "own", "exact")) == {1: (31 + 100) / 2, 2: 32, 3: 33}
    assert table.mean("default").cases == 3


def test_an_interval_covers_the_mean_and_leaves_out_what_is_not_known():  # catches: NaN that spoils every mean
    known = Interval.of([1.0, math.nan, 2.0, 4.0])
    assert (known.mean, known.cases) == (7 / 3, 3)
    assert 1 <= known.low < known.mean < known.high <= 4
    assert Interval.of([7.0]) == (7.0, 7.0, 7.0, 1)
    assert Interval.of([]).signed == ""


def test_what_nobody_measured_has_no_column():
    unmeasured = [s | {"ssim": math.nan} for s in scores()]
    assert "SSIM" in tables.means(BenchTable(scores()))
    assert "SSIM" not in tables.means(BenchTable(unmeasured))


def test_scores_come_back_from_their_file(tmp_path):  # catches: rounding that moves a figure, splits mixed up
    one = scores({"default": 30.123456789})
    one[0]["flicker"] = math.nan
    other = [s | {"split": "validation", "row": "method"} for s in one]
    write_scores([*one, *other], tmp_path / "q.csv.gz")
    first = (tmp_path / "q.csv.gz").read_bytes()
    back = read_scores(tmp_path / "q.csv.gz")
    assert BenchTable(back).rows == ["default"]
    assert BenchTable(back, "validation").rows == ["method"]
    assert BenchTable(back).values("default", "psnr_far", "own", "exact")[1] == pytest.approx(31.1235)
    assert math.isnan(next(s for s in back if s["scene"] == 0 and s["condition"] == "exact")["flicker"])
    write_scores(back, tmp_path / "q.csv.gz")
    assert (tmp_path / "q.csv.gz").read_bytes() == first


def test_a_file_without_scores_is_named(tmp_path):
    (tmp_path / "other.gz").write_bytes(b"no gzip")
    for name in ("other.gz", "missing.gz"):
        with pytest.raises(SettingError, match=f"{name} holds no scores"):
            read_scores(tmp_path / name)
