"""Files and folders that a run writes: refused before the work where they cannot be, and never half there."""

import errno
import json
import os

import pytest

from flowedit.errors import OutputError
from flowedit.files import atomic_write, write_json, write_text
from flowedit.runfolder import MANIFEST, RUN_FILES, TRACE, claimed, holds_run, replacing


def held(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_folder_with_a_run_is_refused_unless_overwritten(tmp_path):
    write_json(tmp_path / MANIFEST, {"status": "done"})
    with pytest.raises(OutputError, match="already holds a run; choose another folder with -o, or add --overwrite"):
        claimed(tmp_path).__enter__()
    with claimed(tmp_path, overwrite=True) as folder:
        assert folder == tmp_path


@pytest.mark.parametrize(
    ("name", "message"), [("out", "is a file; give a folder"), ("out/below", "Cannot write .*Not a directory")]
)
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, name, message):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match=message):
        claimed(tmp_path / name).__enter__()
    assert held(tmp_path) == {"out": "mine"}


@pytest.mark.parametrize("left", [[], ["trace.csv"]])
def test_a_folder_made_for_a_run_that_fails_goes_unless_something_is_in_it(tmp_path, left):
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "new") as folder:
        for name in left:
            write_text(folder / name, "")
        raise KeyboardInterrupt
    assert (tmp_path / "new").exists() == bool(left)
    (tmp_path / "there").mkdir()
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "there"):
        raise KeyboardInterrupt
    assert (tmp_path / "there").exists()


def failing(error):
    def fail(*_):
        raise OSError(error, os.strerror(error))

    return fail


def test_full_disk_leaves_the_old_file_and_no_partial(tmp_path, monkeypatch):
    path = write_text(tmp_path / "trace.csv", "old")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"trace.csv \(No space left on device\); free some space"):
        write_text(path, "new")
    assert held(tmp_path) == {"trace.csv": "old"}


def test_a_write_that_stops_leaves_the_old_file_and_no_partial(tmp_path):
    path = write_text(tmp_path / "weights.bin", "old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as part:
        part.write_text("half")
        assert (part.suffix, part.parent) == (path.suffix, path.parent)
        raise KeyboardInterrupt
    assert held(tmp_path) == {"weights.bin": "old"}


def test_a_new_run_takes_the_places_of_an_old_one_all_together(tmp_path):
    """Catches files that move as they are made, one run's report beside another's trace, and a user's file lost."""
    for name in (*RUN_FILES, "notes.txt"):
        write_text(tmp_path / name, "old")
    before = held(tmp_path)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path) as new:
        write_text(new / TRACE, "new")
        raise KeyboardInterrupt
    assert held(tmp_path) == before
    (tmp_path / ".flowedit-new").mkdir()
    write_text(tmp_path / ".flowedit-new" / "edited.mp4", "of a run that was killed")
    with replacing(tmp_path) as new:
        for name in (MANIFEST, TRACE):
            write_text(new / name, "new")
        assert (tmp_path / TRACE).read_text() == "old"
    assert held(tmp_path) == {MANIFEST: "new", TRACE: "new", "notes.txt": "old"}


def test_while_files_move_no_manifest_says_that_the_run_is_whole(tmp_path, monkeypatch):
    write_text(tmp_path / MANIFEST, "old")
    with pytest.raises(OutputError, match=r"Cannot write .*Input/output error"), replacing(tmp_path) as new:
        (new / TRACE).write_text("new")
        monkeypatch.setattr("pathlib.Path.replace", failing(errno.EIO))
    assert not holds_run(tmp_path)


def test_numbers_that_json_lacks_become_null(tmp_path):
    path = write_json(tmp_path / "x.json", {"a": float("nan"), "b": [float("inf"), 1.5], "c": (1,)})
    assert json.loads(path.read_text()) == {"a": None, "b": [None, 1.5], "c": [1]}
