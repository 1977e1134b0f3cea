"""What a run recorded survives CSV and JSON, and its summary figures say what they claim."""

import csv
import io
import json
import math

import numpy as np
import pytest

from flowedit.errors import SettingError
from flowedit.trace import READINGS, StepTrace, Trace


def step(number, gap=(0.5, 0.25)):
    read = {"r_k_norm": (0.1, 1 / 3), "v_diff_norm": (0.2, 2 / 3), "z_diff_norm": (0.3, 1e-9), "gap_norm": gap}
    return StepTrace(
        step=number, sigma=1 - number / 7, sigma_next=1 - (number + 1) / 7, kappa=0.3, seconds=0.25, **read
    )


@pytest.fixture
def trace():
    return Trace(keyframes=(0, 16), slots=(0, 4), method="coupled", alpha=10.0, steps=[step(0), step(1)])


def test_json_gives_the_trace_back_to_the_last_bit(trace):  # catches: rounding, a reading left out
    assert Trace.from_dict(json.loads(json.dumps(trace.to_dict(), allow_nan=False))) == trace


def test_a_gap_that_does_not_exist_is_null_in_json_and_nan_again(trace):  # catches: NaN, which is no JSON
    trace.steps.append(step(2, gap=(math.nan, 0.125)))
    text = json.dumps(trace.to_dict(), allow_nan=False)
    back = Trace.from_dict(json.loads(text))
    assert math.isnan(back.steps[-1].gap_norm[0])
    assert back.steps[-1].gap_norm[1] == 0.125
    assert trace.final_gap() == 0.125
    assert "gap=0.1250" in trace.steps[-1].line()


def test_csv_has_a_row_a_step_and_keyframe_with_full_precision(trace):  # catches: keyframe slots for pixel indices
    rows = list(csv.DictReader(io.StringIO(trace.to_csv())))
    assert [(row["step"], row["keyframe"]) for row in rows] == [("0", "0"), ("0", "16"), ("1", "0"), ("1", "16")]
    assert list(rows[0]) == ["step", "sigma", "keyframe", *READINGS]
    assert float(rows[1]["r_k_norm"]) == 1 / 3
    assert float(rows[2]["sigma"]) == trace.steps[1].sigma


def test_readings_come_as_an_array_of_steps_by_keyframes(trace):  # catches: the transpose
    assert trace.array("v_diff_norm").tolist() == [[0.2, 2 / 3]] * 2
    assert trace.sigmas.tolist() == [1.0, 1 - 1 / 7]
    assert Trace(keyframes=(0, 4, 8), slots=(0, 1, 2)).array("gap_norm").shape == (0, 3)
    assert trace.array("r_k_norm").dtype == np.float64


def test_an_unknown_reading_lists_those_there_are(trace):
    with pytest.raises(SettingError, match="'speed'; a trace holds r_k_norm, v_diff_norm, delta_v_norm, gap_norm"):
        trace.array("speed")


def test_the_final_gap_is_the_worst_keyframe_of_the_last_step(trace):  # catches: the first step, the mean, the best
    trace.steps.append(step(2, gap=(0.1, 0.4)))
    assert trace.final_gap() == 0.4
    assert math.isnan(Trace(keyframes=(), slots=()).final_gap())


def test_a_step_reads_as_one_line_of_means():
    line = step(10).line()
    assert line == "Step 10: r_k=0.2167, v_diff=0.4333, Δv=0.1500, gap=0.3750"
