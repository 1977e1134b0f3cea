"""Files that are damaged, and a machine at its limits: a line and status 2, or the right result; nothing else."""

import os
import random
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from footage import make, numbered
from running import run

from flowedit.media.clip import probe, write_image, write_video

FRAMES = np.stack([numbered(i) for i in range(9)])
FILES = {
    "a.mp4": ("libx264", "aac"), "b.mkv": ("libx264", "libopus"), "c.webm": ("libvpx-vp9", None),
    "d.avi": ("mpeg4", "pcm_s16le"), "e.mov": ("mpeg4", "pcm_s16le"), "f.ts": ("libx264", "aac"),
    "g.gif": (None, None), "h.png": (None, None), "i.webp": (None, None), "still.png": (None, None),
    "still.jpg": (None, None),
}  # fmt: skip
EDIT = ("--method", "colour-map", "--size", "32x64", "-o", "out")
OPTIONS = {
    "edit": ("-k", "key-0.png", "--method", "colour-map"),
    "style": ("--style", "oil", "-y"),
    "frames": ("--at", "0,4"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    for name, (codec, sound) in FILES.items():
        if codec:
            options = {"deadline": "realtime", "cpu-used": "8"} if "vp9" in codec else {}
            make(folder / name, codec, 9, sound=sound, options=options)
        elif "still" in name:
            write_image(folder / name, FRAMES[0])
        else:
            write_video(folder / name, FRAMES, 25)
    return folder


def damaged(data, rng):
    """The bytes without their end, without a part, or with some of them others: anywhere, in the header, in a row."""
    data, kind, at = bytearray(data), rng.randrange(5), rng.randrange(len(data))
    if kind == 0:
        del data[at:]
    elif kind == 1:
        del data[at : at + rng.randrange(1, 400)]
    elif kind == 2:
        data[at : at + 64] = rng.choice([b"\0", b"\xff"]) * rng.randrange(1, 64)
    else:
        for _ in range(rng.choice([1, 4, 32])):
            data[rng.randrange(len(data) if kind == 3 else min(len(data), 600))] = rng.randrange(256)
    return bytes(data)


def check(seed, whole, folder):
    """Damage a file and hand it to a command, each kind of file to each kind of command in turn."""
    source = whole / list(FILES)[seed % len(FILES)]
    clip, picture, round_ = folder / "clip.mp4", folder / "key-0.png", seed // len(FILES) % 3
    shutil.copy(whole / "still.png", picture)
    if source.stem == "still":
        shutil.copy(whole / "a.mp4", clip)
        bad = folder / f"key-4{source.suffix}"
        command = (
            ("edit", clip, "-k", picture, "-k", bad, *EDIT),
            ("style", clip, "--style-image", bad, "-y", "-o", "out"),
            ("edit", clip, "-k", picture, "--mask", bad, *EDIT),
        )[round_]
    else:
        bad = clip = folder / f"clip{source.suffix}"
        command = (
            ("edit", clip, "-k", picture, *EDIT),
            ("style", clip, "--style", "oil", "-y", "-o", "out"),
            ("frames", clip, "--at", "0,4", "-o", "out"),
        )[round_]
    bad.write_bytes(damaged(source.read_bytes(), random.Random(seed)))
    done, out = run(folder, *command), folder / "out"
    told = f"seed {seed}, {source.name}, {command[0]}: {done}"
    assert done.status in (0, 2), told
    assert "Traceback" not in done.err, told
    left = [path.name for path in out.rglob("*")] if out.exists() else []
    assert not [name for name in left if ".part" in name or ".flowedit" in name], told
    if done.status == 2:
        assert len([line for line in done.err.splitlines() if line.startswith("flowedit: ")]) == 1, told
        assert left == [], told
    elif command[0] == "edit":
        assert probe(out / "edited.mp4").num_frames in (1, 5, 9), told


SEEDS = [0, 10, 20, *(pytest.param(first, marks=pytest.mark.long) for first in range(30, 200, 10))]
"""The first of ten."""


@pytest.mark.parametrize("first", SEEDS)
def test_damaged_files_end_in_a_line_or_a_result(whole, tmp_path, first):
    """Tracebacks of a dozen kinds came from such files, and one waited for ever."""
    for seed in range(first, first + 10):
        (tmp_path / str(seed)).mkdir()
        check(seed, whole, tmp_path / str(seed))


KNOWN = {
    "gif, cut within the head of a picture": ("g.gif", lambda data: data[: data.index(b"\x21\xf9", 300) + 13]),
    "webm, a length that is no number": ("c.webm", lambda data: data.replace(b".360000000", b".36000\xff0x1")),
    "mkv, a length that is no number": ("b.mkv", lambda data: data.replace(b"00:00:00.3", b"00:xx:00.3")),
}


@pytest.fixture
def folder(whole, tmp_path):
    """One with a keyframe in it."""
    shutil.copy(whole / "still.png", tmp_path / "key-0.png")
    return tmp_path


COMMANDS = pytest.mark.parametrize("command", ["edit", "style", "frames"])


@pytest.mark.parametrize("name", KNOWN)
@COMMANDS
def test_files_that_ended_in_tracebacks(whole, folder, name, command):
    source, change = KNOWN[name]
    data = (whole / source).read_bytes()
    assert change(data) != data
    clip = folder / f"clip{Path(source).suffix}"
    clip.write_bytes(change(data))
    done = run(folder, command, clip, *OPTIONS[command], "-o", "out")
    assert done.status in (0, 2), done
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("command", "name"), [("edit", "a.mp4"), ("style", "b.mkv"), ("frames", "d.avi"), ("edit", "e.mov")]
)
def test_a_title_in_latin_1_is_no_matter(whole, folder, command, name):
    """A common file, and a `UnicodeDecodeError`; the words that the muxer writes of itself stand for a title."""
    data = (whole / name).read_bytes()
    assert b"Lavf" in data
    (folder / name).write_bytes(data.replace(b"Lavf", b"\xc9t\xe9\xe8"))
    done = run(folder, command, name, *OPTIONS[command], "-o", "out")
    assert (done.status, "Traceback" in done.err) == (0, False), done


BYTES = os.fsdecode(b"caf\xe9")


@COMMANDS
def test_names_and_words_that_are_not_utf_8_go_through(whole, tmp_path, command):
    """The record of a styling run could not be read back: the run and every further one ended there."""
    clip, key = tmp_path / f"{BYTES}.mp4", tmp_path / f"{BYTES}-0.png"
    shutil.copy(whole / "a.mp4", clip)
    shutil.copy(whole / "still.png", key)
    options = {
        "edit": ("-k", key, "--prompt", BYTES, "--mask", key, "--method", "colour-map"),
        "style": ("--describe", f"{BYTES} oil \ud800", "--style-image", key, "-y"),
        "frames": ("--at", "0"),
    }
    done = run(tmp_path, command, clip, *options[command], "-o", f"{BYTES} out")
    assert (done.status, "Traceback" in done.err) == (0, False), done
    if command == "style":
        again = run(tmp_path, "edit", clip, "-k", f"{BYTES} out", "--method", "colour-map", "-o", "edit")
        assert again.status == 0, again


@pytest.mark.parametrize("place", ["clip", "key", "mask", "style image", "keyframes.json", "agent.json"])
def test_nothing_waits_for_a_pipe(whole, folder, place):
    shutil.copy(whole / "a.mp4", folder / "clip.mp4")
    (folder / "run").mkdir()
    name = {"keyframes.json": "run/keyframes.json", "agent.json": "run/agent.json"}.get(place, "pipe-0.png")
    os.mkfifo(folder / name)
    commands = {
        "clip": [(command, name, *options, "-o", "out") for command, options in OPTIONS.items()],
        "key": [("edit", "clip.mp4", "-k", name, *EDIT)],
        "mask": [("edit", "clip.mp4", "-k", "key-0.png", "--mask", name, *EDIT)],
        "style image": [("style", "clip.mp4", "--style-image", name, "-o", "out")],
        "keyframes.json": [("edit", "clip.mp4", "-k", "run", *EDIT)],
        "agent.json": [("style", "clip.mp4", "--style", "oil", "-o", "run")],
    }
    for command in commands[place]:
        done = run(folder, *command, patience=20)
        assert (done.status, len(done.err.strip().splitlines())) == (2, 1), done


@pytest.mark.parametrize(
    ("command", "long"), [("edit", "clip"), ("edit", "key"), ("style", "key"), ("style", "out"), ("frames", "out")]
)
def test_a_name_that_is_too_long_is_a_line_that_says_so(whole, tmp_path, command, long):
    given = {"clip": whole / "a.mp4", "key": whole / "still.png", "out": "out"} | {long: "x" * 300}
    key = {"edit": ("-k", given["key"]), "style": ("--style-image", given["key"])}.get(command, ())
    at = () if command == "style" else ("--at", "0")
    done = run(tmp_path, command, given["clip"], *key, *at, "-o", given["out"])
    assert (done.status, "too long" in done.err, len(done.err.strip().splitlines())) == (2, True, 1), done


@pytest.mark.parametrize(
    ("command", "size"), [("edit", 0), ("edit", 300), ("edit", 6000), ("style", 300), ("style", 6000), ("frames", 0)]
)
def test_a_full_disk_is_a_line_and_the_same_command_goes_on_later(whole, folder, command, size):
    """`style` ended in nine tracebacks out of nine."""
    asked = (command, whole / "a.mp4", *OPTIONS[command], "-o", "out")
    done = run(folder, *asked, limit=(resource.RLIMIT_FSIZE, size))
    lines = [line for line in done.err.splitlines() if line.startswith("flowedit: ")]
    assert (done.status, len(lines), "Traceback" in done.err) == (2, 1, False), done
    assert not list(folder.rglob("*.part*"))
    assert run(folder, *asked).status == 0


def test_what_was_finished_before_the_disk_was_full_is_kept_and_named(whole, folder):
    """An edit of hours went because the last of its files, a page to look at, could not be written."""
    asked = ("edit", whole / "a.mp4", *OPTIONS["edit"], "-o", "out")
    done = run(folder, *asked, limit=(resource.RLIMIT_FSIZE, 30_000))
    assert (done.status, "Finished is edited.mp4 in out/unfinished." in done.err) == (2, True), done
    assert probe(folder / "out" / "unfinished" / "edited.mp4").num_frames == 9
    assert run(folder, *asked).status == 0
    assert not (folder / "out" / "unfinished").exists()


@pytest.mark.parametrize("megabytes", [30, 200, 800])
@pytest.mark.parametrize("command", ["edit", "style", "frames", "default"])
def test_too_little_memory_is_a_line(whole, folder, command, megabytes):
    """Libraries that find none cannot be imported: tracebacks of an ImportError and of others."""
    options = OPTIONS.get(command, ("-k", "key-0.png"))
    name = "edit" if command == "default" else command
    done = run(folder, name, whole / "a.mp4", *options, "-o", "out", limit=(resource.RLIMIT_AS, megabytes << 20))
    assert done.status == 2 or (command != "default" and done.status == 0), done
    assert "Traceback" not in done.err
    assert not (folder / "out" / ".flowedit-new").exists()


@pytest.mark.parametrize("value", ["abc", "-1"])
def test_variables_of_torchrun_that_it_did_not_set_are_a_line(whole, folder, value):
    asked = ("edit", whole / "a.mp4", *OPTIONS["edit"], "-o", "out")
    done = run(folder, *asked, environment={"WORLD_SIZE": value})
    assert (done.status, "WORLD_SIZE" in done.err, len(done.err.strip().splitlines())) == (2, True, 1), done
