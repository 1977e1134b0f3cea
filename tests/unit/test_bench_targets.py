"""Tables of what was asked: a miss is called one, and what a hundred nodes ask follows from the record."""

import json
from dataclasses import replace

from benchmarks import RESULTS
from benchmarks.gpu import FAST, read_record
from benchmarks.targets import asked_of_a_batch, asked_of_a_gpu, hundred_nodes

BATCH = json.loads((RESULTS / "batch.json").read_text(encoding="utf-8"))
EDITS = read_record(RESULTS / "gpu_h200_fast.json")


def test_a_miss_is_called_one():  # catches: a bound read from the wrong side, what was not measured called reached
    def told(seconds):
        of = {f"{FAST}: clip alone": seconds}
        rows = [replace(row, seconds=of.get(row.name, row.seconds)) for row in EDITS.rows]
        return asked_of_a_gpu(replace(EDITS, rows=rows)).splitlines()[2]

    assert [told(seconds).split(" | ", 2)[2] for seconds in (0.431, 0.43, None)] == [
        "431 ms | **missed** |",
        "430 ms | reached |",
        "not measured |  |",
    ]


def test_the_pace_of_two_gpus_leaves_out_what_starting_took():  # catches: clips beside a worker that loads
    rows = [
        {"workers": 2, "ends": [30, 32, 40, 42, 50, 52]},
        {"workers": 1, "ends": [30, 40, 50, 60, 70, 80]},
    ]
    assert "| 0.5 times | reached |" in asked_of_a_batch({**BATCH, "gpus": {"rows": rows}})


def test_a_hundred_nodes_ask_by_the_clips_that_end():  # catches: seconds of a clip that the table does not read
    slow = {**BATCH, "driver": {**BATCH["driver"], "clip_s": 2 * BATCH["driver"]["clip_s"]}}
    rates = [float(hundred_nodes(record, EDITS).splitlines()[2].split("|")[2]) for record in (BATCH, slow)]
    assert abs(rates[0] - 2 * rates[1]) <= 0.5  # two digits are shown
