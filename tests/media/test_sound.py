"""The sound that a result carries: the right track in its place, its gaps kept; or a line that says why none."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from footage import RATE, beeps_in, make, remuxed

from flowedit.errors import SettingError, VideoFileError
from flowedit.media.clip import read_video, write_video
from flowedit.media.sound import sound_track

PITCHES = (400, 1000, 2500)


def with_tracks(path, default=0, unknown=()):
    """Twenty pictures, and a tone of its own pitch on each of three tracks; those named are in a codec of nobody's."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=20)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        tracks = [output.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in PITCHES]
        for number, track in enumerate(tracks):
            track.disposition = Disposition.default if number == default else Disposition(0)
        for _ in range(20):
            output.mux(video.encode(av.VideoFrame(64, 32, "yuv420p")))
        for pitch, track in zip(PITCHES, tracks, strict=True):
            tone = (np.sin(np.arange(RATE) * 2 * np.pi * pitch / RATE) * 20_000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
            frame.sample_rate = RATE
            output.mux([*track.encode(frame), *track.encode(None)])
        output.mux(video.encode(None))
    data = path.read_bytes()
    for _ in unknown:
        data = data.replace(b"A_PCM/INT/LIT", b"A_PCN/INT/LIT", 1)
    path.write_bytes(data)
    return path


def pitch_of(path):
    with av.open(str(path)) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return round(np.abs(np.fft.rfft(samples[:RATE])).argmax() * RATE / min(RATE, len(samples)), -2)


@pytest.mark.parametrize(
    ("default", "unknown", "asked", "heard"),
    [(0, (), None, 400), (2, (), None, 2500), (0, (), 2, 1000), (0, (0,), None, 1000), (0, (0, 1), None, 2500)],
)
def test_the_default_or_asked_track_that_decodes_is_carried(tmp_path, default, unknown, asked, heard):
    """The first track was taken, whatever the file said; one that nothing decodes was a traceback after the work."""
    path = with_tracks(tmp_path / "a.mkv", default, unknown)
    clip = read_video(path)
    track = sound_track(path, clip.start_s, clip.times[-1], asked)
    write_video(tmp_path / "out.mp4", clip.frames, clip.times, audio_from=track)
    assert pitch_of(tmp_path / "out.mp4") == heard


def test_no_usable_track_is_none_and_an_asked_one_is_refused(tmp_path):
    path = with_tracks(tmp_path / "a.mkv", unknown=(0, 1, 2))
    assert sound_track(path) is None
    with pytest.raises(VideoFileError, match=r"Sound track 2 of .* cannot be decoded; choose another, or --audio none"):
        sound_track(path, asked=2)
    with pytest.raises(SettingError, match=r"no sound track 4: .* has 3"):
        sound_track(path, asked=4)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.mp4", "aac"), ("a.mkv", "libopus")])
def test_a_gap_stays_a_gap(tmp_path, name, codec):
    """What came after a gap was heard early by the gap's length."""
    source = make(tmp_path / f"whole-{name}", "libx264", sound=codec)
    path = remuxed(source, tmp_path / name, sound_gap=(1.0, 1.4))
    clip = read_video(path, start=10)
    write_video(tmp_path / "out.mp4", clip.frames, clip.times, audio_from=path, audio_start_s=clip.start_s)
    assert beeps_in(tmp_path / "out.mp4") == pytest.approx([0.1, 1.1, 2.1], abs=0.005)


def test_sound_that_begins_late_stays_late(tmp_path):
    path = make(tmp_path / "late.mp4", "libx264", sound="aac", sound_late=0.3)
    clip = read_video(path)
    write_video(tmp_path / "out.mp4", clip.frames, clip.times, audio_from=path)
    assert beeps_in(tmp_path / "out.mp4") == pytest.approx([0.5, 1.5, 2.5], abs=0.005)


@pytest.mark.parametrize(
    ("name", "codec", "written"),
    [("a.mp4", "aac", "aac"), ("a.mp4", "libmp3lame", "mp3"), ("a.mkv", "pcm_s16le", "aac")],
)
@pytest.mark.parametrize("start", [0, 10, 33])
def test_sound_of_a_window_is_copied_where_the_file_takes_it_and_as_long_as_the_picture(
    tmp_path, name, codec, written, start
):
    source = make(tmp_path / name, "libx264", sound=codec)
    clip = read_video(source, start=start, num_frames=33)
    write_video(tmp_path / "out.mp4", clip.frames, clip.fps, audio_from=source, audio_start_s=clip.start_s)
    heard = [beep - start / 25 for beep in (0.5, 1.5, 2.5) if 0 < beep - start / 25 < 33 / 25]
    assert beeps_in(tmp_path / "out.mp4") == pytest.approx(heard, abs=0.003)
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = container.streams.audio[0]
        assert sound.codec.canonical_name == written
        assert float(sound.duration * sound.time_base) == pytest.approx(33 / 25, abs=0.06)
        assert container.streams.video[0].frames == 33


def with_head(packet, channels):
    """A packet of AAC with its ADTS header; the muxer would write the first one's channels into all."""
    size = packet.size + 7
    head = 0xFFF1 << 40 | 1 << 38 | 3 << 34 | channels << 30 | size << 13 | 0x7FF << 2
    made = av.Packet(head.to_bytes(7, "big") + bytes(packet))
    made.duration = packet.duration
    return made


@pytest.mark.parametrize(
    ("codec", "layouts"), [("aac", ("stereo", "5.1", "stereo")), ("ac3", ("5.1", "stereo", "mono"))]
)
def test_all_is_heard_of_a_track_whose_channels_change(tmp_path, codec, layouts):
    """Broadcasts do so: AAC that was copied was mute for as long as its channels were others than at first."""
    path, place = tmp_path / "air.ts", 0
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        sound = output.add_stream(codec, rate=RATE, layout=layouts[0])
        for i in range(76):
            output.mux(video.encode(av.VideoFrame(64, 32, "yuv420p") if i < 75 else None))
        for layout, pitch in zip(layouts, PITCHES, strict=True):
            encoder = av.CodecContext.create(codec, "w")
            encoder.sample_rate, encoder.layout, encoder.format = RATE, layout, "fltp"
            encoder.open()
            for _ in range(RATE // encoder.frame_size):
                tone = np.sin((place + np.arange(encoder.frame_size)) * 2 * np.pi * pitch / RATE) * 0.3
                each = np.repeat(tone.astype(np.float32)[None], encoder.layout.nb_channels, 0)
                frame = av.AudioFrame.from_ndarray(each, "fltp", layout)
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                for packet in encoder.encode(frame):
                    packet = with_head(packet, encoder.layout.nb_channels) if codec == "aac" else packet
                    packet.stream, packet.time_base, packet.pts, packet.dts = sound, frame.time_base, place, place
                    place += encoder.frame_size
                    output.mux(packet)
    clip = read_video(path)
    track = sound_track(path, clip.start_s, clip.times[-1])
    write_video(tmp_path / "out.mp4", clip.frames, clip.times, audio_from=track)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = list(container.decode(audio=0))
    assert {frame.layout.name for frame in frames} == {"stereo"}
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    for second, pitch in enumerate(PITCHES):
        part = np.abs(np.fft.rfft(samples[int((second + 0.25) * RATE) :][: RATE // 2]))
        assert abs(2 * part.argmax() - pitch) <= 2
        assert part.max() > 0.1 * RATE / 4
