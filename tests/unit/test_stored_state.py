"""What a run reads back is what was written, or one line that names the file: no traceback, and no other result."""

import json
import os
import random
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from flowedit.agent.result import read_result
from flowedit.agent.run import answer, leave_waiting, style_video
from flowedit.agent.sample import frames_source
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import Decision
from flowedit.errors import AgentError, FlowEditError

CLIP = frames_source(np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8))
OIL = StyleSettings(style="oil", backend="offline")
DEEP = '{"a":' * 100_000


def mutated(data, seed):
    """The bytes with a few changed, a part gone, or the end gone."""
    rng, data = random.Random(seed), bytearray(data)
    at = rng.randrange(len(data))
    if seed % 3 == 0:
        return bytes(data[:at])
    if seed % 3 == 1:
        del data[at : at + rng.randrange(1, 200)]
        return bytes(data)
    for _ in range(rng.choice([1, 2, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """A styling run that waits for an answer, and what comes of taking its keyframes."""
    folder = tmp_path_factory.mktemp("state") / "run"
    style_video(CLIP, OIL, folder, approver=leave_waiting)
    taken = shutil.copytree(folder, folder.with_name("taken"))
    return folder, answer(CLIP, taken, Decision())


@pytest.fixture
def run(waiting, tmp_path):
    return shutil.copytree(waiting[0], tmp_path / "run")


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_database_gives_the_same_keyframes_or_a_line(waiting, run, seed):
    """Three changed ones were taken without a word, and painted other keyframes; others ended in tracebacks."""
    path = run / "checkpoint.sqlite"
    path.write_bytes(mutated(path.read_bytes(), seed))
    try:
        result = answer(CLIP, run, Decision())
    except AgentError as error:
        assert "checkpoint.sqlite is damaged" in str(error)
        assert "\n" not in str(error)
        path.unlink()
        result = style_video(CLIP, OIL, run)
    if result.status == "waiting":  # an empty database: the keyframes are painted again
        result = answer(CLIP, run, Decision())
    assert result.indices == waiting[1].indices
    assert all(map(np.array_equal, result.images, waiting[1].images))


def test_a_state_that_was_rewritten_is_refused(run):
    """A whole database of which one value is another: one keyframe's picture in place of the other's."""
    one, two = (name.encode() for name in read_result(run).request.files.values())
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as database, database:
        rows = database.execute("select rowid, checkpoint from checkpoints").fetchall()
        assert any(one in data for _, data in rows)
        for row, data in rows:
            database.execute("update checkpoints set checkpoint = ? where rowid = ?", (data.replace(one, two), row))
    with pytest.raises(AgentError, match=r"damaged \(its contents were changed\); delete it"):
        answer(CLIP, run, Decision())


def changed(values, place, value):
    """JSON with another value at a place, such as `keyframes.0.index`."""
    *before, last = place.split(".")
    inner = values
    for name in before:
        inner = inner[int(name) if name.isdecimal() else name]
    inner[last] = value
    return json.dumps(values)


MANIFEST = {
    "format": 2, "video": None, "identity": 3, "fps": 0, "start": -1, "num_frames": "many", "seed": [], "prompt": None,
    "negative_prompt": {}, "style": {}, "keyframes": [], "keyframes.0.index": -4, "keyframes.0.file": "../key.png",
    "keyframes.0.slot": None, "keyframes.0.verdict": {}, "keyframes.0.strength": 7, "keyframes.0.source": "/etc/passwd",
    "keyframes.0.attempt": "x", "keyframes.0.by": 1, "keyframes.0.adjustment": 0, "more": 1,
}  # fmt: skip


@pytest.mark.parametrize("place", MANIFEST)
def test_a_manifest_with_a_wrong_value_is_refused_in_a_line(waiting, tmp_path, place):
    folder = shutil.copytree(waiting[1].folder, tmp_path / "done")
    path = folder / "keyframes.json"
    path.write_text(changed(json.loads(path.read_text()), place, MANIFEST[place]))
    with pytest.raises(AgentError, match=r"keyframes\.json cannot be read .*; style the clip again") as error:
        read_result(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["keyframes.json", "agent.json"])
@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "\xe9", '{"format": 1, "video": "\\ud800"}', DEEP, "NaN"])
def test_a_file_of_something_else_is_refused_in_a_line(waiting, tmp_path, name, text):
    folder = shutil.copytree(waiting[1].folder, tmp_path / "done")
    (folder / name).write_text(text, "latin-1")
    with pytest.raises(AgentError, match=name) as error:
        read_result(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["agent.json", "checkpoint.sqlite", "attempt"])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(run, name):
    name = read_result(run).request.files[0] if name == "attempt" else name
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises((FlowEditError, OSError), match="pipe"):
        answer(CLIP, run, Decision())


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_an_attempt_that_is_gone_is_named(run, damage):
    name = read_result(run).request.files[0]
    path = run / name
    path.write_bytes(path.read_bytes()[:100])
    if damage == "missing":
        path.unlink()
    with pytest.raises(AgentError, match=rf"{name}.*; delete .*checkpoint\.sqlite to have it painted again"):
        answer(CLIP, run, Decision())
    (run / "checkpoint.sqlite").unlink()
    assert style_video(CLIP, OIL, run).status == "done"
