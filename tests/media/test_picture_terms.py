"""A picture as players show it: upright, square pixels, whole fields, BT.709, opaque; and what that took, said."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from flowedit.errors import VideoFileError
from flowedit.media.clip import probe, read_image, read_video, write_video
from flowedit.media.glance import glance

ONE = 1 << 16
MARKED = np.zeros((48, 64, 3), np.uint8)
MARKED[:8, :16] = (255, 0, 0)
MARKED[:8, 48:] = (0, 255, 0)


def stored(path, pictures, pix_fmt="yuv420p", codec="ffv1", aspect=None, **tags):
    """Pictures of raw planes, or RGB, under the tags given."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=tags.pop("options", {}))
        stream.height, stream.width = pictures[0].shape[:2] if pix_fmt != "yuv420p10le" else (16, 16)
        stream.pix_fmt = pix_fmt
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        if aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for picture in pictures:
            frame = picture if isinstance(picture, av.VideoFrame) else av.VideoFrame.from_ndarray(
                picture, format="rgba" if picture.shape[2] == 4 else "rgb24"
            )  # fmt: skip
            output.mux(stream.encode(frame.reformat(format=pix_fmt)))
        output.mux(stream.encode(None))
    return path


def grey_10bit(code, trc):
    """A flat grey frame whose luma is a share `code` of the range, in BT.2020."""
    frame = av.VideoFrame(16, 16, "yuv420p10le")
    for plane, value in zip(frame.planes, (64 + 876 * code, 512, 512), strict=True):
        plane.update(np.full((plane.height, plane.line_size // 2), round(value), np.uint16).tobytes())
    frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = 9, 9, trc, 1
    return frame


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
    ],
    ids=["plain", "mirrored", "upside down", "180", "transposed", "90", "270", "transversed"],
)
def test_the_whole_display_matrix_is_applied(tmp_path, matrix, expected):
    """Only the angle was read: mirrored pictures came upside down."""
    path = tmp_path / "phone.mp4"
    write_video(path, MARKED[None], 25, lossless=True)
    data = path.read_bytes()
    plain = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    a, b, c, d = (value * ONE for value in matrix)
    at = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + len(plain) :])
    assert np.array_equal(read_video(path).frames[0], expected(MARKED))
    assert (glance(path) or probe(path)) == probe(path)
    assert (probe(path).height, probe(path).width) == expected(MARKED).shape[:2]


@pytest.mark.parametrize(("aspect", "size"), [("4/3", (48, 86)), ("8/9", (54, 64)), ("1/1", (48, 64))])
def test_pixels_become_square(tmp_path, aspect, size):
    path = stored(tmp_path / "dv.mp4", [MARKED], "yuv444p", "libx264", aspect)
    clip = read_video(path)
    assert clip.frames.shape[1:3] == size == (probe(path).height, probe(path).width)
    assert (glance(path) or probe(path)) == probe(path)
    assert any("not square" in note for note in clip.notes) == (aspect != "1/1")


def pq(nits):
    """SMPTE ST 2084."""
    share = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * share) / (1 + 18.6875 * share)) ** 78.84375


def hlg(nits):
    """ITU-R BT.2100, 1000 nits."""
    scene = (nits / 1000) ** (1 / 1.2)
    return (3 * scene) ** 0.5 if scene <= 1 / 12 else 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073


@pytest.mark.parametrize(("trc", "code", "name"), [(16, pq, "PQ"), (18, hlg, "HLG")])
def test_hdr_is_brought_to_the_range_of_a_screen(tmp_path, trc, code, name):
    """Dark parts as they are on a 100-nit screen where white is 203 nits; 1000 nits the brightest; order kept."""
    nits = [5.0, 20.0, 50.0, 203.0, 600.0, 1000.0]
    frames = [grey_10bit(code(each), trc) for each in nits]
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": trc, "color_range": 1}
    clip = read_video(stored(tmp_path / "hdr.mkv", frames, "yuv420p10le", **tags))
    levels = clip.frames[:, 8, 8].astype(int)
    assert np.ptp(levels, axis=1).max() <= 2, "grey stays grey"
    levels = levels.mean(axis=1)
    for level, light in zip(levels[:3], nits, strict=False):
        assert level == pytest.approx(255 * (light / 203) ** (1 / 2.4), abs=3)
    assert 200 < levels[3] < 230
    assert levels[-1] == pytest.approx(255, abs=1)
    assert (np.diff(levels) > 0).all()
    assert any(f"HDR ({name})" in note and "Mobius" in note for note in clip.notes)


def test_hdr_that_nothing_here_reads_is_refused(tmp_path):
    """ICtCp was taken for another matrix, in silence."""
    frame = grey_10bit(0.5, 16)
    frame.colorspace = 14
    path = stored(tmp_path / "i.mkv", [frame], "yuv420p10le", colorspace=14, color_primaries=9, color_trc=16)
    with pytest.raises(VideoFileError, match=r"HDR in a form .* that is not read; convert it"):
        read_video(path)


def test_wide_colours_come_to_bt709(tmp_path):
    """P3 red that BT.709 holds: (0.5, 0.2, 0.2) of BT.709 in P3 is duller; read back it is what it was."""
    linear = np.array([0.5, 0.2, 0.2])
    to_p3 = np.linalg.inv([[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]])
    picture = np.full((16, 16, 3), np.rint(255 * (to_p3 @ linear) ** (1 / 2.4)), np.uint8)
    path = stored(tmp_path / "p3.mkv", [picture], "yuv444p", "libx264", colorspace=5, color_primaries=12, color_trc=1)
    clip = read_video(path)
    assert np.abs(clip.frames[0, 8, 8] - 255 * linear ** (1 / 2.4)).max() <= 2
    assert any("Display P3" in note for note in clip.notes)


def test_interlaced_frames_are_made_whole(tmp_path):
    """A bar that moves 6 pixels between fields: combed, every other line differs from its neighbours."""

    def field(place):
        picture = np.full((64, 64, 3), 40, np.uint8)
        picture[:, place : place + 12] = 220
        return picture

    frames = []
    for i in range(6):
        woven = field(4 + 8 * i)
        woven[1::2] = field(8 + 8 * i)[1::2]
        frames.append(woven)
    path = stored(tmp_path / "tv.ts", frames, codec="mpeg2video", options={"flags": "+ildct+ilme", "q": "1", "g": "3"})
    clip = read_video(path)
    comb = np.abs(np.diff(clip.frames[1:-1].astype(int), axis=1)).mean()
    assert np.abs(np.diff(np.array(frames[1:-1]).astype(int), axis=1)).mean() > 3 * comb
    assert any("bwdif" in note for note in clip.notes)
    assert len(clip.frames) == 6
    for start in (1, 3, 4):
        window = read_video(path, start=start, num_frames=2).frames
        assert np.abs(window.astype(int) - clip.frames[start : start + 2]).mean() < 1


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mov", "qtrle", "argb"), ("a.mkv", "ffv1", "yuva420p"), ("a.webm", "libvpx-vp9", "yuva420p")],
)
def test_transparent_parts_are_laid_on_white(tmp_path, name, codec, pix_fmt):
    """The hidden colours under a transparent part were shown."""
    picture = np.full((48, 64, 4), (200, 30, 30, 255), np.uint8)
    picture[:, 32:, 3] = 0
    path = stored(tmp_path / name, [picture] * 3, pix_fmt, codec)
    clip = read_video(path)
    assert clip.frames[0, 8:-8, 40:-8].min() > 250
    assert np.abs(clip.frames[0, 8:-8, 8:24].astype(int) - (200, 30, 30)).max() < 12
    assert any("white" in note for note in clip.notes)


@pytest.mark.parametrize(("height", "said"), [(48, "601"), (720, "709")])
def test_the_colours_of_untagged_files_are_said(tmp_path, height, said):
    path = stored(tmp_path / "a.mp4", [np.zeros((height, 64, 3), np.uint8)], codec="mpeg4")
    assert any("untagged" in note and said in note for note in read_video(path).notes)
    write_video(tmp_path / "tagged.mp4", np.zeros((1, height, 64, 3), np.uint8), 25)
    assert read_video(tmp_path / "tagged.mp4").notes == ()


def test_the_profile_of_a_keyframe_is_brought_to_srgb(tmp_path):
    """A profile was left out, and colours came 9 levels off; one that is sRGB changes no bit."""
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.fromarray(colours).save(tmp_path / "srgb.png", icc_profile=srgb.tobytes())
    assert np.array_equal(read_image(tmp_path / "srgb.png"), colours)
    swapped = gamma_profile(1.0)
    Image.fromarray(colours).save(tmp_path / "linear.png", icc_profile=swapped)
    share = colours / 255
    expected = 255 * np.where(share <= 0.0031308, 12.92 * share, 1.055 * share ** (1 / 2.4) - 0.055)
    assert np.abs(read_image(tmp_path / "linear.png") - expected).max() < 3


def gamma_profile(gamma):
    """A matrix profile with sRGB's primaries and one gamma: sRGB's own under another name, its curves replaced."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for coding in ("ascii", "utf-16-be"):
        data = data[:132] + data[132:].replace("sRGB".encode(coding), "Test".encode(coding))
    data, curve = bytearray(data), struct.pack(">4sIIHH", b"curv", 0, 1, round(gamma * 256), 0)
    for at in range(132, 132 + 12 * struct.unpack(">I", data[128:132])[0], 12):
        if data[at : at + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            data[at + 4 : at + 12] = struct.pack(">II", len(data), len(curve))
    return struct.pack(">I", len(data) + len(curve)) + bytes(data[4:]) + curve
