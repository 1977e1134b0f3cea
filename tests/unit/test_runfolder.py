"""The output folder: refused before the work where it cannot be used, and never holding half a file."""

import errno
import json
import os

import pytest

from flowedit.errors import OutputError
from flowedit.runfolder import MANIFEST, RUN_FILES, TRACE, RunFolder


def test_folder_with_a_run_is_refused_unless_overwritten(tmp_path):
    RunFolder(tmp_path).write_json(MANIFEST, {"status": "done"})
    with pytest.raises(OutputError, match="already holds a run; choose another folder with -o, or add --overwrite"):
        RunFolder(tmp_path)
    assert RunFolder(tmp_path, overwrite=True).path == tmp_path


def test_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="is a file; give a folder"):
        RunFolder(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_folder_that_cannot_be_made_names_the_cure(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"Cannot write to .*choose another folder"):
        RunFolder(tmp_path / "file" / "below")


def test_full_disk_leaves_the_old_file_and_no_partial(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.write_text("trace.csv", "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"trace.csv \(No space left on device\); free some space"):
        folder.write_text("trace.csv", "new")
    assert (tmp_path / "trace.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["trace.csv"]


def test_a_new_run_takes_the_places_of_an_old_one_all_together(tmp_path):
    folder = RunFolder(tmp_path)
    for name in (MANIFEST, "trace.csv"):
        folder.write_text(name, "old")
    with pytest.raises(KeyboardInterrupt), folder.replacing() as new:  # catches: files that move as they are made
        new.write_text("trace.csv", "new")
        raise KeyboardInterrupt
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {MANIFEST: "old", "trace.csv": "old"}
    with folder.replacing() as new:
        for name in (MANIFEST, "trace.csv"):
            new.write_text(name, "new")
        assert (tmp_path / "trace.csv").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {MANIFEST: "new", "trace.csv": "new"}


def test_what_an_earlier_run_left_goes_with_it(tmp_path):
    """Catches the report of one run beside the video and the trace of another, and a user's own file lost."""
    folder = RunFolder(tmp_path)
    for name in (*RUN_FILES, "notes.txt"):
        folder.write_text(name, "old")
    with folder.replacing() as new:
        new.write_text(TRACE, "new")
        new.write_text(MANIFEST, "new")
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == {MANIFEST: "new", TRACE: "new", "notes.txt": "old"}


def test_what_a_killed_run_left_is_not_taken_for_the_next_ones(tmp_path):
    (tmp_path / ".flowedit-new").mkdir()
    (tmp_path / ".flowedit-new" / "edited.mp4").write_text("of the killed run")
    with RunFolder(tmp_path).replacing() as new:
        new.write_text("trace.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["trace.csv"]


def test_while_files_move_no_manifest_says_that_the_run_is_whole(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.write_text(MANIFEST, "old")

    def full(self, target):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OutputError, match=r"Cannot write to .*Input/output error"), folder.replacing() as new:
        new.file("trace.csv").write_text("new")
        monkeypatch.setattr("pathlib.Path.replace", full)
    assert not folder.holds_run


def test_numbers_that_json_lacks_become_null(tmp_path):
    path = RunFolder(tmp_path).write_json("x.json", {"a": float("nan"), "b": [float("inf"), 1.5], "c": (1,)})
    assert json.loads(path.read_text()) == {"a": None, "b": [None, 1.5], "c": [1]}
