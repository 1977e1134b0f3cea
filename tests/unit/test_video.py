"""Reading and writing files: frame-exact, sound in step, one-line refusals, nothing half-written."""

import gc
from fractions import Fraction

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from flowedit.errors import OutputError, SettingError, VideoFileError, VideoShapeError
from flowedit.media import footage
from flowedit.media.clip import (
    probe,
    read_image,
    read_video,
    resize_image,
    resize_video,
    stream_video,
    to_float,
    to_uint8,
    write_image,
    write_video,
)

NTSC = Fraction(30000, 1001)


def numbered(count, height=48, width=64):
    """Frames that say their own number: a ramp whose brightness is the index times 6, and a moving bar."""
    ramp = np.linspace(20, 60, width)[None, :, None] + np.zeros((height, 1, 3))
    frames = np.stack([ramp + 6 * i for i in range(count)]).astype(np.uint8)
    for i, frame in enumerate(frames):
        frame[:, (5 * i) % width] = (230, 40, 120)
    return frames


@pytest.mark.parametrize("fps", [NTSC, 25, Fraction(24000, 1001), 12.5])
@pytest.mark.parametrize("size", [(34, 50), (33, 50), (34, 51)])
def test_lossless_gives_back_every_pixel_and_the_exact_rate(tmp_path, fps, size):
    """Of frames that come one at a time, too, and where the sound is asked of a file that has none."""
    frames = np.random.default_rng(0).integers(0, 256, (7, *size, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mp4", iter(frames), fps, lossless=True)
    clip = read_video(tmp_path / "a.mp4")
    assert np.array_equal(clip.frames, frames)
    assert clip.fps == Fraction(fps)
    assert probe(tmp_path / "a.mp4").num_frames == 7
    write_video(tmp_path / "b.mp4", frames, fps, audio_from=tmp_path / "a.mp4")
    assert not probe(tmp_path / "b.mp4").has_audio


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_plain_file_keeps_count_size_rate_and_unbiased_colours(tmp_path, suffix):
    frames = numbered(9)
    write_video(tmp_path / f"a{suffix}", frames, NTSC)
    info, clip = probe(tmp_path / f"a{suffix}"), read_video(tmp_path / f"a{suffix}")
    assert (info.num_frames, info.height, info.width, info.fps, info.has_audio) == (9, 48, 64, NTSC, False)
    assert info.duration == pytest.approx(9 * 1001 / 30000)
    flat = np.full((3, 48, 64, 3), (180, 60, 100), np.uint8)
    write_video(tmp_path / f"flat{suffix}", flat, 25)
    # A wrong colour matrix moves this colour by 10 levels and more; rounding by 1 or 2.
    assert np.abs(read_video(tmp_path / f"flat{suffix}").frames.astype(int) - flat).max() <= 2
    assert np.abs(clip.frames.astype(float).mean((1, 2, 3)) - frames.mean((1, 2, 3))).max() < 0.6


def test_a_window_converts_no_more_than_itself_and_says_where_it_is(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", numbered(40), 25)
    seen, original = [], footage.to_picture
    monkeypatch.setattr(footage, "to_picture", lambda frame, aspect: seen.append(frame.pts) or original(frame, aspect))
    clip = read_video(tmp_path / "a.mp4", start=30, num_frames=3)
    assert len(seen) <= 4
    assert (clip.start, clip.start_s, clip.total) == (30, Fraction(30, 25), 40)
    assert np.array_equal(list(stream_video(tmp_path / "a.mp4", start=30, num_frames=3)), clip.frames)


def test_decoders_end_with_what_they_read(tmp_path):
    """Catches: frames that keep each other and their decoder, with its threads, until the garbage collector comes."""
    write_video(tmp_path / "clip.mp4", np.zeros((5, 32, 32, 3), np.uint8), 8)
    gc.disable()
    try:
        read_video(tmp_path / "clip.mp4")
        before = psutil.Process().num_threads()
        for _ in range(3):
            read_video(tmp_path / "clip.mp4")
        assert psutil.Process().num_threads() == before
    finally:
        gc.enable()


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    frames = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    for suffix in ("mp4", "mkv"):
        write_video(folder / f"good.{suffix}", frames, 25)
        data = (folder / f"good.{suffix}").read_bytes()
        (folder / f"half.{suffix}").write_bytes(data[: len(data) // 2])
        (folder / f"headless.{suffix}").write_bytes(data[400:])
    (folder / "text.mp4").write_text("not a video at all")
    (folder / "empty.mp4").write_bytes(b"")
    Image.fromarray(frames[0]).save(folder / "picture.png")
    (folder / "folder.mp4").mkdir()
    with av.open(str(folder / "sound.m4a"), "w", format="mp4") as output:
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 2048), np.float32), format="fltp", layout="stereo")
        silence.sample_rate = 44_100
        audio = output.add_stream("aac", rate=44_100)
        output.mux([*audio.encode(silence), *audio.encode(None)])
    for name in ("zero.mkv", "zero.avi"):
        with av.open(str(folder / name), "w") as output:
            stream = output.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            output.start_encoding()
    return folder


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("half.mp4", "cut short"),
        ("half.mkv", "cut short"),
        ("headless.mp4", "cut short or not a video"),
        ("text.mp4", "not a video"),
        ("empty.mp4", "not a video"),
        ("zero.mkv", "holds no frames"),
        ("zero.avi", "holds no frames"),
        ("picture.png", "is a picture"),
        ("folder.mp4", "is a folder"),
        ("sound.m4a", "no picture track"),
        ("nowhere.mp4", "No video at"),
    ],
)
@pytest.mark.parametrize("read", [read_video, probe, lambda path: list(stream_video(path))])
def test_bad_files_are_refused_in_one_line_that_names_them(bad_files, name, rule, read):
    with pytest.raises(VideoFileError, match=rule) as caught:
        read(bad_files / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (9, 1), (0, 10), (8, 2), (0, 0), (2, -3)])
def test_windows_outside_the_file_are_refused(tmp_path, start, count):
    write_video(tmp_path / "a.mp4", numbered(9), 25)
    with pytest.raises(SettingError, match="frames"):
        read_video(tmp_path / "a.mp4", start=start, num_frames=count)
    with pytest.raises(SettingError, match="frames"):
        next(stream_video(tmp_path / "a.mp4", start=start, num_frames=count))


@pytest.mark.parametrize(
    ("frames", "fps", "name", "kind"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), 25, "a.mp4", VideoShapeError),
        (np.zeros((3, 8, 8, 3), np.float32), 25, "a.mp4", VideoShapeError),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)], 25, "a.mp4", VideoShapeError),
        (numbered(2), 0, "a.mp4", SettingError),
        (numbered(2), float("nan"), "a.mp4", SettingError),
        (numbered(2), 25, "a.avi", SettingError),
        (numbered(2), 25, "nowhere/a.mp4", OutputError),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_written_leaves_nothing(tmp_path, frames, fps, name, kind):
    with pytest.raises(kind) as caught:
        write_video(tmp_path / name, frames, fps)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_sound_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "noise.wav").write_text("no sound")
    with pytest.raises(VideoFileError, match=r"noise\.wav"):
        write_video(tmp_path / "a.mp4", numbered(2), 25, audio_from=tmp_path / "noise.wav")
    assert [p.name for p in tmp_path.iterdir()] == ["noise.wav"]


def test_an_interrupted_write_keeps_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, numbered(3), 25, lossless=True)
    before = path.read_bytes()

    def frames():
        yield from numbered(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, frames(), 25)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_of_every_kind_become_rgb_the_right_way_up(tmp_path):
    grey = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    colour = np.stack([grey, 255 - grey, grey // 2], axis=2)
    as_rgb = np.repeat(grey[..., None], 3, axis=2)
    turned = Image.Exif()
    turned[0x0112] = 6  # shown turned by 90 degrees clockwise
    kinds = {
        "rgb": (Image.fromarray(colour), colour),
        "grey": (Image.fromarray(grey), as_rgb),
        "16 bits": (Image.fromarray(grey.astype(np.uint16) * 257), as_rgb),
        "palette": (Image.fromarray(colour).quantize(256), colour),
        "turned": (Image.fromarray(colour), np.rot90(colour, -1)),
    }
    for name, (image, expected) in kinds.items():
        image.save(tmp_path / f"{name}.png", exif=turned if name == "turned" else None)
        assert np.array_equal(read_image(tmp_path / f"{name}.png"), expected), name
    Image.fromarray(np.dstack([colour, np.full((4, 6), 128, np.uint8)])).save(tmp_path / "rgba.png")
    on_white = colour * (128 / 255) + 255 * (127 / 255)
    assert np.abs(read_image(tmp_path / "rgba.png") - on_white).max() <= 1


@pytest.mark.parametrize("name", ["missing.png", "text.png", "half.png"])
def test_bad_pictures_are_refused_in_one_line(tmp_path, name):
    (tmp_path / "text.png").write_text("not a picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "ok.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "ok.png").read_bytes()[:5000])
    with pytest.raises(VideoFileError, match=name) as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_pictures_are_written_whole_or_not_at_all(tmp_path):
    picture = numbered(1)[0]
    write_image(tmp_path / "a.png", picture)
    assert np.array_equal(read_image(tmp_path / "a.png"), picture)
    with pytest.raises(OutputError, match=r"a\.xyz"):
        write_image(tmp_path / "a.xyz", picture)
    with pytest.raises(OutputError, match="nowhere"):
        write_image(tmp_path / "nowhere" / "a.png", picture)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_shrinking_averages_and_growing_keeps_flat_colours():
    board = np.indices((8, 8)).sum(axis=0) % 2 * 255
    picture = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    # An aliased resize would pick black or white; the average of a checkerboard is grey.
    assert np.abs(resize_image(picture, (4, 4)).astype(int) - 127.5).max() <= 1
    flat = np.full((2, 5, 7, 3), (9, 99, 199), np.uint8)
    grown = resize_video(flat, (13, 11))
    assert grown.shape == (2, 13, 11, 3)
    assert (grown == flat[0, 0, 0]).all()
    assert resize_video(flat, (5, 7)) is flat
    with pytest.raises(VideoShapeError, match="0x4"):
        resize_image(picture, (0, 4))


@pytest.mark.usefixtures("unchecked")
def test_floats_and_bytes_are_exact_inverses():
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_uint8(to_float(every)), every)
    assert to_float(every).dtype == np.float32
    assert (to_float(every)[0], to_float(every)[-1]) == (-1, 1)
    with pytest.raises(SettingError, match="float64"):
        to_float(np.zeros(3))
