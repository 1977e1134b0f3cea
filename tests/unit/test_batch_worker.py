"""What a worker of the batch makes of a clip, without Ray: what single edits make, once, whatever goes wrong."""

import errno
import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from agent_server import answers_for_gemini, serving
from batch_clips import Pretended, entries_in, make_clips, named, placed
from filelock import FileLock
from oracles import Curved

from flowedit.agent.settings import GeminiSettings
from flowedit.batch import worker as module
from flowedit.batch.jobs import lowered
from flowedit.batch.record import read_record
from flowedit.batch.worker import Worker, budget_of, wait_for_gpu
from flowedit.files import unwritten
from flowedit.run import editing
from flowedit.run.job import run_edit
from flowedit.runfolder import STATE

STEPS = {"preset": "method", "steps": 12, "lossless": True}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"), 2)


@pytest.fixture
def loads(monkeypatch):
    """A model that is a formula, and the levels that it was loaded at; one named in `short` runs out of memory."""
    seen = SimpleNamespace(levels=[], short=set())

    def load_at(placement, request):
        seen.levels.append(placement and placement.level)
        if placement and placement.level in seen.short:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return named(Curved()), "pace plain"

    monkeypatch.setattr(editing, "load_at", load_at)
    return seen


@pytest.fixture
def levels(monkeypatch):
    """A machine where the model is resident, or as low as is asked for."""
    monkeypatch.setattr(editing, "placements", placed)


def worker(**given):
    return Worker(GeminiSettings(), **given)


def frames_of(folder):
    return (folder / "edited.mp4").read_bytes()


def test_results_are_those_of_single_edits_and_the_model_is_loaded_once(clips, tmp_path, loads, monkeypatch):
    """Catches: a model that remembers the clip before, one loaded with every clip, and a done clip edited again.

    And one that is loaded where nobody asked who holds the GPU.
    """
    monkeypatch.setattr(module, "wait_for_gpu", lambda: f"{len(loads.levels)} loaded, 4321 holds the GPU")
    entries, one = entries_in(clips, tmp_path / "batch", **STEPS), worker()
    singles = entries_in(clips, tmp_path / "single", **STEPS)
    assert [one.work(entry, 0).state for entry in entries] == ["done", "done"]
    assert loads.levels == [None]
    assert {read_record(entry).reason for entry in entries} == {"0 loaded, 4321 holds the GPU"}
    for entry, single in zip(entries, singles, strict=True):
        run_edit(single.request)
        assert frames_of(entry.request.output) == frames_of(single.request.output)
    assert [worker().work(entry, 0).state for entry in (*entries, *singles)] == ["skipped"] * 4
    changed = entries_in(clips, tmp_path / "batch", **{**STEPS, "seed": 4})[0]
    assert (worker().work(changed, 0).state, read_record(changed).starts) == ("done", 1)


def test_a_stopped_clip_goes_on_from_its_saved_step(clips, tmp_path, loads):
    """Catches: steps taken twice, another result after a stop, and a state of other settings that stays."""
    entry, single = (entries_in(clips, tmp_path / name, **STEPS)[0] for name in ("batch", "single"))
    seen = []

    class Watched(Worker):
        def _watch(self, stage, done, total, step):
            if stage == "denoising":
                seen.append(done)
            if seen.count(7) == 1 and done == 7:
                self.cancel()
            super()._watch(stage, done, total, step)

    assert Watched(GeminiSettings()).work(entry, 0).state == "stopped"
    assert (entry.request.output / STATE).is_file()
    assert (Watched(GeminiSettings()).work(entry, 0).state, read_record(entry).starts) == ("done", 2)
    assert seen == [*range(1, 8), *range(6, seen[-1] + 1)]
    run_edit(single.request)
    assert frames_of(entry.request.output) == frames_of(single.request.output)
    (entry.request.output / STATE).write_bytes(b"of other settings")
    changed, one = entries_in(clips, tmp_path / "batch", **{**STEPS, "seed": 4})[0], worker()
    one.cancel()
    assert [each.work(changed, 0).state for each in (one, worker())] == ["stopped", "done"]


def test_out_of_memory_is_tried_one_level_lower(clips, tmp_path, loads, levels):
    """Catches: a level that is lost where loading fails, and a retry at the level that was too much."""
    loads.short.add("resident")
    entry = entries_in(clips, tmp_path, **STEPS)[0]
    record = worker().work(entry, 2)
    assert (record.state, record.cause, record.level) == ("failed", "memory", "resident")
    entry = lowered(entry, record)
    assert entry.request.placement == "offload"
    record = worker().work(entry, 2)
    assert (record.state, record.starts, record.failures, loads.levels) == ("done", 2, 1, ["resident", "offload"])
    assert worker().work(entries_in(clips, tmp_path, **STEPS)[0], 2).state == "skipped"


def test_a_larger_clip_is_placed_anew_and_a_smaller_one_is_not(clips, tmp_path, loads, levels):
    """Catches: a model that was placed for small clips, and runs out of memory with the first large one."""
    one, entry = worker(), entries_in(clips, tmp_path, **STEPS)[0]
    for name, size in (("a", (64, 64)), ("b", (64, 96)), ("c", (64, 64))):
        request = replace(entry.request, size=size, output=tmp_path / name)
        assert one.work(replace(entry, request=request), 0).state == "done"
    assert loads.levels == ["resident", "resident"]


def test_a_full_disk_is_no_failure_of_the_clip_and_a_broken_file_is(clips, tmp_path):
    """Catches: a clip set aside for its node's disk, a broken file tried for ever, and a reason over several lines."""
    entry, broken = entries_in(clips, tmp_path, preset="draft")
    record = worker(edit=Pretended({("c0", 1): "disk"})).work(entry, 0)
    assert (record.state, record.cause, read_record(entry).failures) == ("failed", "disk", 0)
    (tmp_path / "broken.mp4").write_bytes(broken.request.video.read_bytes()[:2000])
    broken = replace(broken, request=replace(broken.request, video=tmp_path / "broken.mp4"))
    assert [worker().work(broken, 1).state for _ in range(2)] == ["failed", "quarantined"]
    assert "broken.mp4" in read_record(broken).reason
    assert "\n" not in read_record(broken).reason


def test_where_nothing_can_be_written_the_clip_is_set_aside(clips, tmp_path):  # catches: the same clip tried for ever
    entry = entries_in(clips, tmp_path / "file", preset="draft")[0]
    (tmp_path / "file").write_text("in the way")
    record = worker().work(entry, 5)
    assert (record.state, "Cannot write" in record.reason) == ("quarantined", True)
    assert module._cause(unwritten(tmp_path, OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)))) == "disk"


def test_one_folder_has_one_process(clips, tmp_path, monkeypatch):  # catches: an orphan and its successor in one folder
    entry = entries_in(clips, tmp_path, preset="draft")[0]
    entry.request.output.mkdir()
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    with FileLock(entry.request.output / module.LOCK):
        record = worker(edit=Pretended()).work(entry, 0)
    assert (record.state, "another process" in record.reason) == ("quarantined", True)
    assert not (tmp_path / "starts.txt").exists()


def test_a_gpu_that_an_orphan_holds_is_waited_for_then_reported(monkeypatch):
    """Catches: a model loaded beside an orphan's, and an orphan that nobody hears of."""
    free = iter([10, 10, 95])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (int(next(free) * 1e9), int(100e9)))
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    listed = SimpleNamespace(stdout=f"{os.getpid()}, 500 MiB\n4321, 90000 MiB\n")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: listed)
    assert (wait_for_gpu(), list(free)) == ("", [])
    free = iter([10])
    assert wait_for_gpu(patience=-1) == "other processes hold 90.0 of 100.0 GB of the GPU (4321, 90000 MiB)"


@pytest.mark.parametrize(("usd", "paid"), [(2.0, True), (0.0001, False)])
def test_painted_clips_have_one_budget_and_pay_once(clips, tmp_path, monkeypatch, usd, paid):
    """Catches: a budget of every clip, and keyframes that are paid for again after a kill.

    The killed worker had its answers; what it did not note down is made of them again.
    """
    with serving() as server:
        answers_for_gemini(server, monkeypatch)
        entries = entries_in(clips, tmp_path, style="watercolour")
        budget = budget_of(entries, tmp_path, usd)
        for entry in entries:
            assert Worker(budget).work(entry, 0).state == "done"
        assert (server.calls > 0) == paid
        spent, calls = tmp_path / "answers" / "spent", server.calls
        assert not paid or json.loads(spent.read_text())["calls"] == calls
        (tmp_path / "c0" / "run.json").unlink()
        shutil.rmtree(tmp_path / "c0" / "style")
        assert Counter(Worker(budget).work(entry, 0).state for entry in entries) == {"done": 1, "skipped": 1}
        assert server.calls == calls
