"""From files to the editor's inputs: windows, sizes and keyframes are refused or mapped, never bent."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import flowedit
from flowedit.cli.options import parse_numbers, parse_size
from flowedit.errors import KeyframeError, SettingError, VideoShapeError
from flowedit.media.clip import write_image, write_video
from flowedit.run import inputs as reading
from flowedit.run.inputs import choose_window, pair_keyframes, read_inputs
from flowedit.run.request import EditRequest
from flowedit.settings import EditSettings


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """40 frames whose red says which frame it is."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 256, (1, 90, 160, 3), dtype=np.uint8), 40, axis=0)
    frames[:, :, :, 0] = np.arange(40, dtype=np.uint8)[:, None, None] * 6
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, frames, Fraction(30000, 1001), lossless=True)
    return path


def request(clip, keyframes=(), **changes):
    given = {"settings": EditSettings(), "output": clip.with_name("out"), **changes}
    return EditRequest(video=clip, keyframes=keyframes, **given)


def picture(path, height, width):
    write_image(path, np.full((height, width, 3), 200, np.uint8))
    return path


@pytest.mark.parametrize(
    ("total", "start", "asked", "expected"),
    [(40, 0, None, 33), (40, 20, None, 17), (100, 5, 17, 17), (3, 0, None, 1), (33, 0, 33, 33)],
)
def test_window_is_the_longest_legal_one_from_the_start(total, start, asked, expected):
    assert choose_window(total, start, asked, 33) == range(start, start + expected)


@pytest.mark.parametrize(
    ("start", "asked", "message"),
    [
        (40, None, "--start is 40 and the video has frames 0 to 39"),
        (-1, None, "--start is -1"),
        (0, 32, r"got 32\. Use 29 or 33"),
        (20, 33, r"33 frames from frame 20 reach past the video's 40; use at most 17"),
    ],
)
def test_window_outside_the_video_names_the_cure(start, asked, message):
    with pytest.raises(VideoShapeError, match=message):
        choose_window(40, start, asked, 33)


def test_keyframes_and_mask_go_through_one_map(clip, tmp_path):
    pictures = [(0, picture(tmp_path / "a.png", 90, 160)), (16, picture(tmp_path / "b.png", 96, 176))]
    found = read_inputs(request(clip, pictures, start=3, mask=picture(tmp_path / "mask.png", 9, 16)))
    assert found.frames.shape == (33, 96, 176, 3)
    assert [k.image.shape for k in found.keyframes] == [(96, 176, 3)] * 2
    assert (found.mask.shape, found.clip_mask.shape) == ((33, 96, 176), (33, 90, 160))
    assert found.clip.fps == Fraction(30000, 1001)
    assert found.window == range(3, 36)
    assert abs(int(np.median(found.frames[0, :, :, 0])) - 3 * 6) <= 1, "clip frame 0 is source frame 3"
    (line,) = found.summary()
    assert "frames 3 to 35 of 40" in line
    assert "160x90 edited at 176x96" in line


@pytest.mark.parametrize(("height", "width"), [(90, 90), (160, 90), (100, 160)])
def test_keyframe_of_another_aspect_is_refused_with_both_sizes(clip, tmp_path, height, width):
    pictures = [(0, picture(tmp_path / "odd.png", height, width))]
    with pytest.raises(KeyframeError, match=rf"{width}x{height}; it must have the shape of the source, 160x90"):
        read_inputs(request(clip, pictures, num_frames=17))


def test_size_that_does_not_divide_names_the_nearest(clip):
    with pytest.raises(VideoShapeError, match=r"got 100x160\. Use 96x160"):
        read_inputs(request(clip, num_frames=17, size=(100, 160)))


def test_what_needs_no_frames_is_refused_before_the_video_is_read(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "read_video", lambda *_, **__: pytest.fail("the video was read"))
    with pytest.raises(KeyframeError, match="Keyframes 1 and 4 lie in one latent slot"):
        read_inputs(request(clip, [(1, tmp_path / "missing.png"), (4, tmp_path / "missing.png")]))


SCRIPT = """
import sys
from flowedit.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*(name for name in ("torch", "diffsynth") if name in sys.modules))
"""


def test_bad_input_is_answered_without_torch(clip, tmp_path):
    """Catches seconds of loading before one line that says what is wrong."""
    given = ["edit", str(clip), "-k", str(picture(tmp_path / "key.png", 90, 160)), "--at", "64", "-o", "out"]
    root = Path(flowedit.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *given], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (run.returncode, run.stdout.split()) == (2, []), run.stderr
    assert "frame 64" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr


def test_folder_of_keyframes_takes_its_indices_from_the_names(tmp_path):
    for name in ("style-16.png", "style-0.png", "style-4.jfif", "._style-8.png"):
        picture(tmp_path / "any.png", 8, 8).rename(tmp_path / name)
    (tmp_path / "notes-12.png").write_bytes(b"x")
    pairs = [(0, "style-0.png"), (4, "style-4.jfif"), (16, "style-16.png")]
    assert [(i, p.name) for i, p in pair_keyframes([tmp_path], at=None)] == pairs


def test_files_of_a_folder_are_paired_as_people_count(tmp_path):
    """1, 10, 2 is the order of text."""
    for number in (10, 2, 1):
        picture(tmp_path / f"{number}.png", 8, 8)
    assert [p.name for _, p in pair_keyframes([tmp_path], at=[0, 8, 16])] == ["1.png", "2.png", "10.png"]


@pytest.mark.parametrize(
    ("name", "at", "message"),
    [
        ("", None, "holds no images"),
        ("gone.png", [0], "No keyframe image at .*gone.png"),
        ("red.png", [0, 16], "1 keyframe images c"),
        ("red.png", None, "red.png ends with no"),
    ],
)
def test_keyframes_that_cannot_be_paired_are_named(tmp_path, name, at, message):
    if name == "red.png":
        picture(tmp_path / name, 8, 8)
    with pytest.raises(KeyframeError, match=message):
        pair_keyframes([tmp_path / name], at)


def test_size_is_height_by_width_and_what_is_no_number_is_named():
    assert parse_size("480x832") == (480, 832)
    assert parse_numbers("0,16, 32", "--at", int, "0,16,32") == (0, 16, 32)
    with pytest.raises(SettingError, match="--at is '0,x'"):
        parse_numbers("0,x", "--at", int, "0,16,32")
    for size in ("96", "axb"):
        with pytest.raises(SettingError, match=f"--size is '{size}'"):
            parse_size(size)
