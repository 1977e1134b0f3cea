"""Reading and writing files: frame-exact, sound in step, one-line refusals, nothing half-written."""

import resource
import struct
from fractions import Fraction

import av
import numpy as np
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
RATE = 44_100


def numbered(count, height=48, width=64):
    """Frames that say their own number: a ramp whose brightness is the index times 6, and a moving bar."""
    ramp = np.linspace(20, 60, width)[None, :, None] + np.zeros((height, 1, 3))
    frames = np.stack([ramp + 6 * i for i in range(count)]).astype(np.uint8)
    for i, frame in enumerate(frames):
        frame[:, (5 * i) % width] = (230, 40, 120)
    return frames


def write_sound(path, codec, seconds, click_at, fmt):
    """A file of `seconds` of video at 25 fps whose sound is silent but for a click of 5 ms at `click_at` seconds."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"g": "10"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = output.add_stream(codec, rate=RATE)
        audio.codec_context.layout = "mono"
        for frame in numbered(round(seconds * 25)):
            output.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(video.encode(None))
        samples = np.zeros((1, round(seconds * RATE)), np.float32)
        begin = round(click_at * RATE)
        samples[:, begin : begin + RATE // 200] = 0.9
        if fmt == "s16":
            samples = (samples * 32767).astype(np.int16)
        for i in range(0, samples.shape[1], 1024):
            piece = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, i : i + 1024]), format=fmt, layout="mono"
            )
            piece.sample_rate, piece.pts, piece.time_base = RATE, i, Fraction(1, RATE)
            output.mux(audio.encode(piece))
        output.mux(audio.encode(None))


def hear_click(path):
    """Seconds at which the file's sound first rises above a third of full scale."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            samples = np.abs(frame.to_ndarray().astype(np.float64)).max(axis=0)
            if samples.max() > 0.3:
                return float(frame.pts * frame.time_base) + np.argmax(samples > 0.3) / frame.sample_rate
    return None


@pytest.mark.parametrize("fps", [NTSC, 25, Fraction(24000, 1001), 12.5])
def test_lossless_gives_back_every_pixel_and_the_exact_rate(tmp_path, fps):
    frames = np.random.default_rng(0).integers(0, 256, (7, 34, 50, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mp4", frames, fps, lossless=True)
    clip = read_video(tmp_path / "a.mp4")
    assert np.array_equal(clip.frames, frames)
    assert clip.fps == Fraction(fps)
    assert probe(tmp_path / "a.mp4").num_frames == 7


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


@pytest.mark.parametrize(("height", "width"), [(33, 50), (48, 51), (35, 35)])
def test_odd_sizes_are_kept(tmp_path, height, width):
    write_video(tmp_path / "odd.mp4", numbered(3, height, width), 25)
    assert read_video(tmp_path / "odd.mp4").frames.shape == (3, height, width, 3)


def test_window_is_frame_exact_and_decodes_little_more_than_itself(tmp_path, monkeypatch):
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "12", "bf": "3", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(120):
            picture = np.full((48, 64, 3), 2 * i, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    whole = read_video(path).frames
    assert len(whole) == 120
    # Four frames around each entry point, where an off-by-one or a wrong seek shows.
    for start in (0, 1, 10, 11, 12, 13, 47, 95, 96, 97, 116):
        clip = read_video(path, start=start, num_frames=4)
        assert np.array_equal(clip.frames, whole[start : start + 4])
        assert clip.start_s == Fraction(start, 25)
        assert (clip.start, clip.total) == (start, 120)
        assert np.array_equal(list(stream_video(path, start=start, num_frames=4)), clip.frames)
    seen = []
    original = footage.to_picture
    monkeypatch.setattr(footage, "to_picture", lambda frame, aspect: seen.append(frame.pts) or original(frame, aspect))
    read_video(path, start=100, num_frames=3)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("matrix", "shape", "corner"),
    [
        ((0, 1, -1, 0), (96, 64), (0, -1)),
        ((-1, 0, 0, -1), (64, 96), (-1, -1)),
        ((0, -1, 1, 0), (96, 64), (-1, 0)),
    ],
    ids=["90 clockwise", "180", "90 anticlockwise"],
)
def test_rotation_of_the_file_is_applied(tmp_path, matrix, shape, corner):
    frames = np.zeros((3, 64, 96, 3), np.uint8)
    frames[:, :20, :20] = (255, 0, 0)
    path = tmp_path / "phone.mp4"
    write_video(path, frames, 25, lossless=True)
    data, one = path.read_bytes(), 1 << 16
    # ISO 14496-12: the track header holds the display matrix (a b u c d v x y w), a to d in 16.16.
    plain = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    a, b, c, d = matrix
    turned = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    at = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + len(plain) :])
    picture = read_video(path).frames[0]
    assert picture.shape[:2] == shape == (probe(path).height, probe(path).width)
    assert tuple(picture[corner]) == (255, 0, 0)
    assert (picture[..., 0] == 255).sum() == 400


@pytest.mark.parametrize(
    ("name", "codec", "fmt", "copied"),
    [("aac.mp4", "aac", "fltp", True), ("mp3.mp4", "libmp3lame", "fltp", True), ("pcm.mkv", "pcm_s16le", "s16", False)],
)
@pytest.mark.parametrize("start", [0, 10, 33])
def test_sound_of_the_window_stays_in_step(tmp_path, name, codec, fmt, copied, start):
    """A click at 1.7 s is heard at 1.7 s minus the window's start, to 3 ms; a dropped shift is off by 0.4 s."""
    source = tmp_path / name
    write_sound(source, codec, 4.0, 1.7, fmt)
    clip = read_video(source, start=start, num_frames=33)
    write_video(
        tmp_path / "out.mp4", clip.frames, clip.fps, audio_from=source, audio_start_s=clip.start_s, lossless=True
    )
    original, heard = hear_click(source), hear_click(tmp_path / "out.mp4")
    if start + 33 < 1.7 * 25:
        assert heard is None
    else:
        assert heard == pytest.approx(original - start / 25, abs=0.003)
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = container.streams.audio[0]
        assert sound.codec.canonical_name == (codec.removeprefix("lib").removesuffix("lame") if copied else "aac")
        assert float(sound.duration * sound.time_base) == pytest.approx(33 / 25, abs=0.06)
        assert container.streams.video[0].frames == 33


def test_a_source_without_sound_is_fine(tmp_path):
    write_video(tmp_path / "mute.mp4", numbered(3), 25)
    write_video(tmp_path / "out.mp4", numbered(3), 25, audio_from=tmp_path / "mute.mp4")
    assert not probe(tmp_path / "out.mp4").has_audio


def test_frames_are_taken_one_at_a_time(tmp_path):
    """A generator is consumed as it is encoded, so that a long clip need not be in memory."""
    write_video(tmp_path / "a.mp4", iter(numbered(5)), 25, lossless=True)
    assert np.array_equal(read_video(tmp_path / "a.mp4").frames, numbered(5))


def bad_files(tmp_path):
    good = tmp_path / "good.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    write_video(good, frames, 25)
    data = good.read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "headless.mp4").write_bytes(data[400:])
    (tmp_path / "text.mp4").write_text("not a video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_video(tmp_path / "whole.mkv", frames, 25)
    matroska = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(matroska[: len(matroska) // 2])
    Image.fromarray(frames[0]).save(tmp_path / "picture.png")
    (tmp_path / "folder.mp4").mkdir()
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as output:
        audio = output.add_stream("aac", rate=RATE)
        output.mux(audio.encode(_silence()))
        output.mux(audio.encode(None))
    for name in ("zero.mkv", "zero.avi"):
        with av.open(str(tmp_path / name), "w") as output:
            stream = output.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            output.start_encoding()


def _silence():
    frame = av.AudioFrame.from_ndarray(np.zeros((2, 2048), np.float32), format="fltp", layout="stereo")
    frame.sample_rate = RATE
    return frame


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
def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path, name, rule, read):
    bad_files(tmp_path)
    with pytest.raises(VideoFileError, match=rule) as caught:
        read(tmp_path / name)
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


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_write_keeps_the_old_file_and_no_part(tmp_path, stop):
    path = tmp_path / "a.mp4"
    write_video(path, numbered(3), 25, lossless=True)
    before = path.read_bytes()

    def frames():
        yield from numbered(2)
        raise stop

    with pytest.raises(stop):
        write_video(path, frames(), 25)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 128, 128, 3), dtype=np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match="free some space"):
            write_video(tmp_path / "big.mp4", noise, 25, lossless=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_every_kind_become_rgb(tmp_path):
    grey = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    colour = np.stack([grey, 255 - grey, grey // 2], axis=2)
    alpha = np.full((4, 6), 128, np.uint8)
    Image.fromarray(colour).save(tmp_path / "rgb.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey16.png")
    Image.fromarray(np.dstack([colour, alpha])).save(tmp_path / "rgba.png")
    Image.fromarray(colour).quantize(256).save(tmp_path / "palette.png")
    as_rgb = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(read_image(tmp_path / "rgb.png"), colour)
    assert np.array_equal(read_image(tmp_path / "grey.png"), as_rgb)
    assert np.array_equal(read_image(tmp_path / "grey16.png"), as_rgb)
    assert np.array_equal(read_image(tmp_path / "palette.png"), colour)
    on_white = colour * (128 / 255) + 255 * (127 / 255)
    assert np.abs(read_image(tmp_path / "rgba.png") - on_white).max() <= 1


def test_the_cameras_rotation_is_applied_to_pictures(tmp_path):
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    Image.fromarray(picture).save(tmp_path / "phone.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "phone.png"), np.rot90(picture, -1))


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
