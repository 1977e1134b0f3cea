"""A batch on a real Ray of two nodes: workers, nodes and the driver die, and nothing is lost or done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from batch_clips import Pretended, Sharing, entries_in, make_clips, named
from oracles import Curved

from flowedit.batch import jobs
from flowedit.batch.jobs import BatchOptions, batch_steps
from flowedit.batch.record import read_record
from flowedit.batch.worker import budget_of, painted
from flowedit.run.job import run_edit

HERE = Path(__file__).parent
NODE = {"num_cpus": 1, "num_gpus": 1, "memory": 5_000_000_000, "object_store_memory": 80_000_000}
TRIES = 5
"""A node that is not up after 30 s ends Ray's start; on a busy machine it takes longer."""


def tried(start):
    for left in reversed(range(TRIES)):
        try:
            return start()
        except Exception as error:
            if not left or "timed out" not in str(error):
                raise
    raise AssertionError


@pytest.fixture(scope="module")
def cluster():
    """One node with two slots; tests add others."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *sys.path]))
        made = Cluster()
        tried(lambda: made.add_node(**{**NODE, "num_cpus": 2, "num_gpus": 2}, include_dashboard=False))
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"), 6)


def run(clips, out, edit, common=None, **options):
    entries, last = entries_in(clips, out, **common or {}), {}
    for record in batch_steps(entries, out, BatchOptions(**options), edit=edit):
        last[record.id] = record
    return entries, last


def starts(out):
    """Clip, process and placement of every start."""
    return [line.split() for line in (out / "starts.txt").read_text().splitlines()]


def started(out):
    return Counter(name for name, *_ in starts(out))


def edited(entry):
    return (entry.request.output / "edited.mp4").read_bytes()


def agree(entries, out):
    """Each clip's edit was started as often as its record says."""
    assert {entry.id: read_record(entry).starts for entry in entries} == started(out)


def test_one_batch_meets_every_fault_and_the_next_repeats_nothing_done(cluster, clips, tmp_path):
    """A process is killed, a clip fails once, one always ends its decoder (SIGSEGV), memory runs out: others are done.

    Catches: a clip lost with its worker, one started twice, a failure without its reason or tried for ever, and a try
    after memory ran out at the level, or in the process, where it did.
    """
    faults = {("c1", 1): "kill", ("c2", 1): "a bad day", ("c3", "always"): "crash", ("c4", 1): "memory"}
    entries, last = run(clips, tmp_path, Pretended(faults), retries=1)
    assert {name: record.state for name, record in last.items()} == {
        **dict.fromkeys(("c0", "c1", "c2", "c4", "c5"), "done"),
        "c3": "quarantined",
    }
    assert started(tmp_path) == {"c0": 1, "c1": 2, "c2": 2, "c3": 2, "c4": 2, "c5": 1}
    agree(entries, tmp_path)
    names, processes, places = zip(*starts(tmp_path), strict=True)
    full = names.index("c4")
    assert processes[full] not in processes[full + 1 :]
    assert [place for name, place in zip(names, places, strict=True) if name == "c4"] == ["auto", "offload"]
    (failure,) = map(json.loads, (tmp_path / "failures.jsonl").read_text().splitlines())
    assert (failure["id"], failure["line"], failure["failures"]) == ("c3", 4, 2)
    assert failure["reason"].startswith("its process died at: ")
    assert "\n" not in failure["reason"]
    assert "<caption>5 done, 1 quarantined</caption>" in (tmp_path / "index.html").read_text()

    _, last = run(clips, tmp_path, Pretended(faults), retries=1)
    assert Counter(record.state for record in last.values()) == {"skipped": 5, "quarantined": 1}
    assert sum(started(tmp_path).values()) == 10
    _, last = run(clips, tmp_path, Pretended(), retries=2)
    assert last["c3"].state == "done"


def test_a_node_that_goes_away_is_no_failure_of_its_clip(cluster, clips, tmp_path):
    """Catches: a batch that waits for a dead node, and a clip that is set aside for its node's death."""
    node = tried(lambda: cluster.add_node(**NODE))
    entries = entries_in(clips, tmp_path)
    (hold := tmp_path / "hold").touch()
    last, removed = {}, False
    for record in batch_steps(entries, tmp_path, BatchOptions(retries=0), edit=Pretended()):
        last[record.id] = record
        if not removed and sum(each.done == 4 for each in last.values()) == 3:
            cluster.remove_node(node, allow_graceful=False)
            removed = True
        if record.state in ("failed", "quarantined"):
            assert "went away" in record.reason
            hold.unlink()
    assert {record.state for record in last.values()} == {"done"}
    assert sum(started(tmp_path).values()) == 7
    agree(entries, tmp_path)


def test_a_full_disk_retires_a_worker_and_is_no_failure_of_a_clip(cluster, clips, tmp_path, monkeypatch):
    """Catches: one full node that eats the whole queue, by one new worker after the other."""
    made, group = [], jobs._Group
    monkeypatch.setattr(jobs, "_Group", lambda *given: made.append(given) or group(*given))
    entries, last = run(clips, tmp_path, Pretended({("c0", 1): "disk"}), retries=0)
    assert {record.state for record in last.values()} == {"done"}
    assert (started(tmp_path)["c0"], len(made)) == (2, 2)
    assert read_record(entries[0]).failures == 0


def test_a_group_of_workers_paints_once_and_follows_any_of_them_that_fails(cluster, tmp_path, monkeypatch):
    """Catches: keyframes painted by each, a leader that waits for a dead follower, a follower's memory never lowered.

    What the group makes is a single edit's to the bit.
    """
    monkeypatch.setattr(jobs, "Worker", Sharing)
    clips, method = make_clips(tmp_path, 1), {"preset": "method", "steps": 4, "lossless": True}
    method |= {"style": "watercolour", "backend": "offline"}
    (entry,), last = run(clips, tmp_path / "out", None, gpus_per_edit=2, retries=1, common=method)
    kept = read_record(entry)
    assert (last["c0"].state, kept.starts, kept.failures, kept.level) == ("done", 2, 1, "offload")
    assert (tmp_path / "out" / "painted.txt").read_text() == "c0\n"
    alone = entries_in(clips, tmp_path / "single", **method)
    request = painted(alone[0], budget_of(alone, tmp_path / "single", 0.0))
    run_edit(request, loaded=(named(Curved()), "pace plain"))
    assert edited(entry) == edited(alone[0])


DRIVER = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests that run in the background were born to ignore
sys.path.insert(0, sys.argv[1])
from batch_clips import Pretended, entries_in
from flowedit.batch import jobs
from flowedit.cli.main import main

inner = jobs.batch_steps
if "--preset" in sys.argv:
    faults = {("c0", 1): "kill", ("c2", 1): "hang", ("c3", 1): "deaf"}
    jobs.batch_steps = lambda *given: inner(*given, Pretended(faults))
main(["batch", *sys.argv[2:], "--json"])
"""


@contextmanager
def driver(*arguments):
    """A driver of its own; then its lines."""
    command = [sys.executable, "-c", DRIVER, str(HERE), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, map(json.loads, process.stdout)
        finally:
            process.kill()


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_driver_that_ends_leaves_what_is_done_and_the_next_goes_on(cluster, clips, tmp_path, ended_by):
    """Catches: work that goes on behind a dead driver, a folder that stays locked, an endless edit waited for.

    And words of Ray's own, of a worker that died, among the lines of JSON.
    """
    with driver(clips, "--preset", "draft", "-o", tmp_path, "--address", cluster.address) as (process, records):
        seen = {}
        for record in records:
            seen[record["id"]] = record
            if (seen.get("c2", {}).get("done"), seen.get("c3", {}).get("done")) == (4, 3):
                break
        asked = time.monotonic()
        process.send_signal(ended_by)
        process.stdout.close()
        status = process.wait(60)
        took = time.monotonic() - asked
    assert status == (-signal.SIGKILL if ended_by == signal.SIGKILL else 130)
    entries, last = run(clips, tmp_path, Pretended(), retries=1)
    assert {record.state for record in last.values()} == {"done", "skipped"}
    assert started(tmp_path) == {"c0": 2, "c1": 1, "c2": 2, "c3": 2, "c4": 1, "c5": 1}
    agree(entries, tmp_path)
    assert took < 10


def test_edits_whose_driver_workers_and_node_are_killed_are_single_edits_to_the_bit(cluster, tmp_path):
    """Catches: a state that another process left and that leads to another result, and a start that nobody counts."""
    clips, steps = make_clips(tmp_path, 3), 60
    rows = [{**json.loads(line), "preset": "method", "steps": steps, "lossless": True} for line in clips.open()]
    clips.write_text("\n".join(map(json.dumps, rows)))
    deep = lambda record: record["stage"] == "denoising" and record["done"] > 4  # noqa: E731
    with driver(clips, "-o", tmp_path / "out", "--address", cluster.address) as (process, records):
        next(record for record in records if deep(record))
        process.kill()
    node, head = tried(lambda: cluster.add_node(**NODE)), cluster.head_node.all_processes["raylet"][0].process.pid
    entries, last, killed = entries_in(clips, tmp_path / "out"), {}, 0
    for record in batch_steps(entries, tmp_path / "out", BatchOptions(retries=2)):
        last[record.id] = record
        if not killed and deep(asdict(record)):
            workers = [one for one in psutil.Process().children(recursive=True) if "ray::Worker" in one.name()]
            killed = len([one.kill() for one in workers if one.ppid() == head])
            cluster.remove_node(node, allow_graceful=False)
    assert {record.state for record in last.values()} == {"done"}
    assert killed > 0
    kept = [read_record(entry) for entry in entries]
    assert sum(record.failures for record in kept) in range(1, killed + 1)
    assert sum(record.starts for record in kept) in range(4, 3 * 3 + 1)
    for entry, single in zip(entries, entries_in(clips, tmp_path / "single"), strict=True):
        run_edit(single.request)
        assert edited(entry) == edited(single)
