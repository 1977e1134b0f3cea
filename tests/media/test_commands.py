"""The command line on clips as people have them: frames to paint on, limits of the machine, names of any byte."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from footage import make, number_of, numbered
from PIL import Image
from test_cli import run as call

from flowedit.media.clip import read_image, read_video, write_image, write_video
from flowedit.metrics import flashes


@pytest.fixture
def clip(tmp_path):
    return make(tmp_path / "clip.mp4", "libx264", 21)


@pytest.mark.parametrize(("how", "taken"), [(("--at", "0,8,16"), [0, 8, 16]), (("--every", "6"), [0, 6, 12, 18])])
def test_frames_to_paint_on_are_what_edit_reads(clip, tmp_path, how, taken):
    assert call("frames", clip, *how, "-o", tmp_path / "paint") == 0
    written = sorted((tmp_path / "paint").iterdir())
    assert [path.name for path in written] == [f"frame-{index:04d}.png" for index in taken]
    frames = read_video(clip).frames
    for path, index in zip(written, taken, strict=True):
        np.testing.assert_array_equal(read_image(path), frames[index])


def test_frames_count_from_the_window_and_never_replace_a_painting(clip, tmp_path, capsys):
    assert call("frames", clip, "--at", "4", "--start", "10", "-o", tmp_path / "paint") == 0
    assert number_of(read_image(tmp_path / "paint" / "frame-0004.png")) == 14
    wrong = {
        ("--at", "4", "--start", "10"): "is there already, perhaps painted on",
        ("--at", "11", "--start", "10"): "Frame 11 is not in",
        ("--every", "4", "--at", "0"): "one of the two",
        ("--every", "4", "--start", "21"): "0 frames from frame 21 on",
    }
    for options, message in wrong.items():
        assert call("frames", clip, *options, "-o", tmp_path / "paint") == 2
        assert message in capsys.readouterr().err


def test_an_edit_of_its_own_frames_is_the_source(clip, tmp_path):
    """What `frames` writes is what `edit` reads back, to the bit: keyframes that were not painted change nothing."""
    call("frames", clip, "--every", "4", "-o", tmp_path / "paint")
    options = ["--method", "propagation", "--size", "32x64", "--frames", "21", "--lossless"]
    assert call("edit", clip, "-k", tmp_path / "paint", "-o", tmp_path / "out", *options) == 0
    edited = read_video(tmp_path / "out" / "edited.mp4").frames
    np.testing.assert_array_equal(edited[::4], read_video(clip).frames[::4])
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Colours over time" in report
    assert "flash" in report


def test_keyframes_count_the_files_frames_where_every_nth_is_edited(clip, tmp_path, capsys):
    """What `frames` and `style` name, `edit --every` finds."""
    call("frames", clip, "--every", "8", "-o", tmp_path / "paint")
    options = ("--method", "colour-map", "--every", "2")
    assert call("edit", clip, "-k", tmp_path / "paint", "-o", tmp_path / "out", "--frames", "9", *options) == 0
    edited = read_video(tmp_path / "out" / "edited.mp4").frames
    assert [number_of(frame) for frame in edited] == [*range(0, 18, 2)]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["keyframes"] == [0, 4, 8]
    write_image(tmp_path / "key-5.png", edited[0])
    assert call("edit", clip, "-k", tmp_path / "key-5.png", "-o", tmp_path / "none", *options) == 2
    assert "Keyframe 5 is at no frame that --every 2 takes" in capsys.readouterr().err
    styling = ("--every", "2", "--frames", "9", "--style", "oil", "-y")
    assert call("style", clip, *styling, "-o", tmp_path / "styled") == 0
    assert call("edit", clip, "-k", tmp_path / "styled", "-o", tmp_path / "oil", "--method", "colour-map") == 0
    manifest = json.loads((tmp_path / "oil" / "run.json").read_text())
    assert [row["source_frame"] for row in manifest["frame_map"]] == [*range(0, 18, 2)]
    assert "to 16 of 21 (9 frames at 12.500 fps)" in capsys.readouterr().err


def test_a_frame_that_departs_from_its_neighbours_flashes():
    """A drift over many frames is no flash, nor is a style that changes all of them."""
    drift = np.linspace(20, 50, 33)[:, None] * np.ones(3)
    assert flashes(drift) == []
    drift[12] += (0, -9, 0)
    assert flashes(drift) == [12]


@pytest.mark.parametrize("size", ["32000x32000", "16000000x16", "²x²", "9" * 5000 + "x16", "96"])
def test_sizes_that_no_machine_holds_are_refused_at_once(clip, tmp_path, capsys, size):
    write_image(tmp_path / "key-0.png", numbered(0))
    assert call("edit", clip, "-k", tmp_path / "key-0.png", "-o", tmp_path / "out", "--size", size) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "pixels" in line or "--size" in line or "multiples" in line


@pytest.mark.parametrize(
    ("size", "words"),
    [((2, 4000), "at most 32 times as long as wide"), ((2, 2), "at least 16x16"), ((4, 64), "at least 16x16"),
     ((64, 2), "at least 16x16")],
)  # fmt: skip
def test_a_clip_like_a_thread_or_of_a_few_pixels_is_refused(tmp_path, capsys, size, words):
    """OpenCV's flow ended in its own error, or ended the program with a fault of memory."""
    write_video(tmp_path / "dot.mkv", np.zeros((5, *size, 3), np.uint8), 25, lossless=True)
    write_image(tmp_path / "key-0.png", np.zeros((*size, 3), np.uint8))
    asked = ("edit", tmp_path / "dot.mkv", "-k", tmp_path / "key-0.png", "-o", tmp_path / "out")
    assert call(*asked, "--method", "propagation") == 2
    assert words in capsys.readouterr().err


def test_a_program_in_a_pictures_clothes_is_no_picture(tmp_path, monkeypatch):
    """Pillow hands PostScript to a program of its own, whatever the file is called."""
    (tmp_path / "key-0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(Exception, match="is not a picture"):
        read_image(tmp_path / "key-0.png")


def shell(arguments, tmp_path, **options):
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-m", "flowedit", *arguments], check=False, stderr=subprocess.PIPE, cwd=tmp_path,
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]}, **options,
    )  # fmt: skip


def test_names_of_any_byte_and_terminal_codes_are_shown_escaped(tmp_path):
    """A name that is not UTF-8 ended in a traceback, and one with an escape sequence reached the terminal."""
    done = shell(["frames", os.fsdecode(b"caf\xe9\x1b[31m.mp4"), "--at", "0", "-o", "out"], tmp_path)
    assert done.returncode == 2
    assert b"No video at caf\\udce9\\x1b[31m.mp4" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")  # noqa: PTH110
def test_output_that_nobody_takes_ends_in_a_line_or_in_silence(clip, tmp_path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = shell(["frames", str(clip), "--at", "0", "-o", "out"], tmp_path, stdout=full)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    reader, writer = os.pipe()
    os.close(reader)
    done = shell(["frames", str(clip), "--at", "4", "-o", "out"], tmp_path, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
    done = shell(["frames", str(clip), "--at", "8", "-o", "out"], tmp_path, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr, (tmp_path / "out" / "frame-0008.png").exists()) == (0, b"", True)
