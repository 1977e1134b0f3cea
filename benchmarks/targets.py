"""What was asked of the default, of a GPU and of a batch, beside what the records say: tables that hide no miss."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.gpu import DEFAULT_LAZY, FAST, UNGUIDED, Record
from benchmarks.table import WORLDS, BenchTable, markdown
from flowedit.batch.jobs import INDEX_S, POLL_S

NODES = 100
FORWARDS = "clip alone", "joint keyframes", "VAE encode", "VAE decode"
EDITS = (DEFAULT_LAZY, "prepare"), (UNGUIDED, "steps")
"""Of the GPU benchmark, the rows that something is asked of."""
_CLASSICAL = ("source", "colour map", "propagation")


class Gain(NamedTuple):
    """A gain in dB that is asked of the default: over all of some rows, of a figure, under a condition of keyframes."""

    words: str
    over: tuple[str, ...]
    figure: str
    condition: str
    least: float


GAINS = (
    Gain("over the best classical row, far, exact", _CLASSICAL, "psnr_far", "exact", 1.0),
    Gain("over the best classical row, hidden, exact", _CLASSICAL, "psnr_hidden", "exact", 3.0),
    Gain("over the best classical row, far, disagreeing", _CLASSICAL, "psnr_far", "disagreeing", 2.0),
    Gain("the model over the estimate, far, exact", ("estimate",), "psnr_far", "exact", -0.05),
    Gain("the model over the estimate, hidden, exact", ("estimate",), "psnr_hidden", "exact", 1.0),
    Gain("the model over the estimate, far, disagreeing", ("estimate",), "psnr_far", "disagreeing", 1.0),
    Gain("the model over the estimate, far, sparse", ("estimate",), "psnr_far", "sparse", 1.0),
)


def asked_of_the_default(table: BenchTable) -> str:
    """What is asked of the default, a line each, with a column per world."""
    rows = [(f"{gain.words}: {gain.least:g} dB", *(_reached(table, gain, world) for world in WORLDS)) for gain in GAINS]
    return markdown(("asked, and the paired difference in dB", *WORLDS.values()), rows)


def _reached(table: BenchTable, asked: Gain, world: str) -> str:
    found = [table.gain("default", row, asked.figure, world, asked.condition) for row in asked.over]
    known = [gain for gain in found if gain.cases]
    if not known:
        return "not known"
    worst = min(known, key=lambda gain: gain.mean)
    return worst.signed if worst.mean >= asked.least else f"**{worst.signed}, missed**"


def asked_of_a_gpu(record: Record) -> str:
    """What is asked of the 1.3B on one GPU, and what was measured."""
    taken = {row.name: row.seconds or math.nan for row in record.rows if row.checkpoint.endswith("1.3B-InP")}
    plain, joint, *vae = (taken.get(f"{FAST}: {what}", math.nan) for what in FORWARDS)
    prepare, steps = (taken.get(f"{name}: {stage}", math.nan) for name, stage in EDITS)
    return _at_most(
        ("plain forward on the fast path", 430, 1e3 * plain, "ms"),
        ("joint forward with 5 keyframes, over the plain one", 1.3, joint / plain, "times"),
        ("a clip encoded and decoded", 1.4, sum(vae), "s"),
        ("prepare of the default preset", 1.5, prepare, "s"),
        ("8 unguided steps as of a distilled LoRA, transformer alone", 20, steps, "s"),
    )


def asked_of_a_batch(record: Mapping[str, Any]) -> str:
    """What is asked of a batch, and what was measured; of two GPUs from when each worker had ended its first clip."""
    seconds = {row["name"]: row["seconds"] for row in record["rows"]}
    two, one = ((row["ends"][-1] - row["ends"][n - 1]) / (len(row["ends"]) - n) for row, n in _workers(record))
    return _at_most(
        (
            "12 clips as a batch, over one command after the other",
            0.62,
            seconds["batch"] / seconds["one by one"],
            "times",
        ),
        ("check of 10,000 lines", 20, seconds["dry run of 10000 lines"], "s"),
        ("memory of the driver of 10,000 clips", 400, record["driver"]["megabytes"]["10000"], "MB"),
        (
            "time between two clips' ends on two GPUs, over that on one (two 1.9 times as fast)",
            0.526,
            two / one,
            "times",
        ),
    )


def _workers(record: Mapping[str, Any]) -> list[tuple[dict[str, Any], int]]:
    return [(row, row["workers"]) for row in record["gpus"]["rows"]]


def _at_most(*rows: tuple[str, float, float, str]) -> str:
    """A line for each thing asked, the most it may be, and what it is."""
    lines = [
        (words, f"{most:g} {unit}", f"{found:.3g} {unit}", "reached" if found <= most else "**missed**")
        if not math.isnan(found)
        else (words, f"{most:g} {unit}", "not measured", "")
        for words, most, found, unit in rows
    ]
    return markdown(("to reach", "at most", "measured", ""), lines)


def hundred_nodes(record: Mapping[str, Any], edits: Record) -> str:
    """What a batch on 100 nodes would ask of its driver and of the storage, from what was measured, as a table.

    Args:
        record: of a batch of drafts on one machine, and of what its driver spends.
        edits: on a GPU, of which each node has eight.
    """
    (total,) = (row.seconds for row in edits.rows if row.name == f"{UNGUIDED}: total")
    driver, cores, larger = record["driver"], record["driver"]["machine"]["cores"], 81 * 832 * 480 / (33 * 432 * 288)
    kinds = {
        f"{NODES} nodes of {cores} cores, drafts of 33 frames": _asked(driver, cores * NODES, driver["clip_s"], 1.0),
        f"{NODES} nodes of 8 GPUs, 1.3B, 81 frames": _asked(driver, 8 * NODES, total or math.nan, larger),
    }
    first, second = kinds.values()
    return markdown(
        ("", *kinds),
        [(name, *(f"{v:,.0f}" if v > 99 else f"{v:.2g}" for v in (first[name], second[name]))) for name in first],
    )


def _asked(driver: Mapping[str, Any], workers: int, seconds: float, larger: float) -> dict[str, float]:
    """What so many workers ask, whose clips take so many seconds and are so many times larger than those measured."""
    rate = workers / seconds
    # Each clip that ends wakes the driver, which then looks at all workers; 800 were looked at when it was measured.
    ends = rate * (driver["clip_ms"] + driver["wait_ms"] * workers / 800) / 1000
    busy = ends + workers * driver["poll_ms"] / 1000 / POLL_S + driver["page_s"] / INDEX_S
    return {
        "clips a second": rate,
        "cores of the driver that are busy": busy,
        "nodes that keep one core of the driver busy": NODES / busy,
        "seconds of the driver to start all workers": workers * driver["start_ms"] / 1000,
        "MB/s read from the shared storage": rate * larger * driver["read_mb"],
        "MB/s written to it": rate * larger * driver["written_mb"],
    }
