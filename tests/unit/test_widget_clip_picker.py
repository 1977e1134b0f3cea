"""ClipPicker without a browser: from uploads to the editor's inputs, and what it says on the way."""

import base64
import io
import re
import tracemalloc
import zipfile
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from flowedit.errors import WidgetError
from flowedit.frames import slots_of
from flowedit.media.clip import read_video, resize_video, write_video
from flowedit.widgets._picking import Source, keep_upload
from flowedit.widgets.clip_picker import ClipPicker
from tests.browser.examples import scene


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "scene.mp4"
    write_video(path, scene(40, 96, 160), Fraction(24), lossless=True)
    return path


@pytest.fixture
def picker(video):
    return ClipPicker(video, area=48 * 80, window=33)


def png(image) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def upload(control, *files):
    now = datetime.now(tz=UTC)
    control.value = [
        {"name": name, "type": "", "size": len(data), "content": memoryview(data), "last_modified": now}
        for name, data in files
    ]


def test_an_upload_is_a_clip_at_a_legal_size(video):
    picker = ClipPicker(area=48 * 80)
    assert picker.problem.startswith("No clip yet")
    assert picker._later.layout.display == "none"
    upload(picker.upload, ("my scene.mp4", video.read_bytes()))
    assert picker.problem.startswith("No keyframe yet")
    assert picker.length.value == picker.map.num_frames == 33
    height, width = picker._frames.shape[1:3]
    assert (height % 16, width % 16, height, width) == (0, 0, 48, 80)
    assert "my scene.mp4: 40 frames of 160x96 at 24 fps" in picker.facts.value


def test_a_large_clip_is_never_held_at_its_own_size(tmp_path):
    """Catches a window read whole before it is made small: 33 frames of a phone's 4K video are over 800 MB."""
    path = tmp_path / "large.mp4"
    write_video(path, scene(17, 360, 640), Fraction(24))
    source = Source.open(path, "large.mp4", area=48 * 80)
    expected = resize_video(read_video(path, start=2, num_frames=13).frames, source.target)
    tracemalloc.start()
    frames = source.read(2, 13)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(frames, expected)
    assert peak < 6 * 360 * 640 * 3


def test_the_whole_way_to_the_editor(picker, video):
    """Catches an image given to the wrong frame, a lost frame rate, a window that forgets its start."""
    ready = []
    picker.observe(lambda change: ready.append(change["new"]), "ready")
    picker.start.value = 3
    picker.map.keyframes = [0, 16]
    assert picker.problem == "No image yet for frames 0, 16."
    with pytest.raises(WidgetError, match="No image yet"):
        _ = picker.value
    red, blue = (np.full((96, 160, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    upload(picker.images, ("painted_0016.png", png(blue)), ("first.png", png(red)))
    assert (picker.problem, ready) == ("", [True])
    value = picker.value
    assert [keyframe.index for keyframe in value.keyframes] == [0, 16]
    assert [keyframe.image[0, 0].tolist() for keyframe in value.keyframes] == [[200, 0, 0], [0, 0, 200]]
    assert all(keyframe.image.shape == value.frames.shape[1:] for keyframe in value.keyframes)
    assert (value.fps, value.start, len(value.frames)) == (Fraction(24), 3, 33)
    assert slots_of([k.index for k in value.keyframes], len(value.frames)) == (0, 4)
    source = read_video(video, start=3, num_frames=1).frames[0]
    assert abs(value.frames[0].mean() - source.mean()) < 1


def test_a_cut_is_named_by_its_frame_of_the_file(picker, tmp_path):
    """Catches a cut that nobody hears of, and one counted from the window's start beside frames of the file."""
    assert "new shot" not in picker.facts.value
    write_video(tmp_path / "cut.mp4", np.concatenate([scene(20, 96, 160), 255 - scene(20, 96, 160)]), 24, lossless=True)
    picker.open_clip(tmp_path / "cut.mp4")
    assert "a new shot begins at frame 20 of the file" in picker.facts.value
    picker.start.value = 7
    assert "Frames 7 to 39 are edited" in picker.facts.value
    assert "a new shot begins at frame 20 of the file" in picker.facts.value
    picker.start.value = 21
    assert "new shot" not in picker.facts.value


def test_frames_go_out_exact_and_come_back(picker, video):
    """Catches frames taken from the resized clip, or counted from the file's start instead of the window's."""
    picker.start.value = 5
    picker.map.keyframes = [4, 20]
    picker.grab.click()
    address = re.search(r'href="data:application/zip;base64,([^"]+)"', picker.link.value)[1]
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(address)))
    assert archive.namelist() == ["keyframe_0004.png", "keyframe_0020.png"]
    pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()]
    for picture, frame in zip(pictures, (9, 25), strict=True):
        np.testing.assert_array_equal(picture, read_video(video, start=frame, num_frames=1).frames[0])
    upload(picker.images, *((name, archive.read(name)) for name in archive.namelist()))
    assert picker.ready
    for keyframe in picker.value.keyframes:
        np.testing.assert_array_equal(keyframe.image, picker.value.frames[keyframe.index])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("painted_7.png", png(np.zeros((96, 160, 3), np.uint8)), "frame 7, which is not picked"),
        (
            "painted_16.png",
            png(np.zeros((100, 100, 3), np.uint8)),
            "is 100x100; it must have the shape of the source, 160x96",
        ),
        ("painted_16.png", b"no picture", "painted_16.png is not a picture"),
    ],
)
def test_a_wrong_image_is_refused_in_place(picker, name, data, says):
    picker.map.keyframes = [16]
    upload(picker.images, (name, data))
    assert says in re.sub(r"<[^>]+>", "", picker.verdict.value)
    assert not picker.ready


def test_what_is_not_a_video_is_refused_and_the_clip_stays(picker):
    before = picker._frames
    upload(picker.upload, ("notes.mp4", b"no video at all"))
    assert "notes.mp4" in picker.verdict.value
    assert picker._folder.name not in picker.verdict.value
    assert picker._frames is before
    picker.path.value = "nowhere.mp4"
    assert "nowhere.mp4" in picker.verdict.value


def test_another_window_lets_go_of_images_that_are_other_frames_now(picker):
    """Catches a painted frame that silently moves to another moment of the video."""
    picker.map.keyframes = [4, 28]
    upload(picker.images, *((f"painted_{i}.png", png(np.zeros((96, 160, 3), np.uint8))) for i in (4, 28)))
    assert picker.ready
    picker.length.value = 17
    assert picker.map.keyframes == [4]
    assert picker.ready
    picker.start.value = 2
    assert picker.problem == "No image yet for frame 4."


def test_the_window_ends_with_the_file_and_keyframes_that_collide_are_no_value(picker):
    picker.start.value = 30
    assert picker.length.value == len(picker._frames) == 9
    picker.map.keyframes = [5, 8]
    assert picker.problem == picker.map.problem != ""
    assert not picker.ready
    picker.start.value = 39
    assert picker.length.value == 1


@pytest.mark.parametrize("name", ["../../evil.mp4", "..\\evil.mp4", "/etc/passwd", "", "..."])
def test_an_uploads_name_cannot_lead_out_of_its_folder(tmp_path, name):
    path = keep_upload(tmp_path, name, b"x")
    assert path.parent == tmp_path
    assert path.read_bytes() == b"x"
