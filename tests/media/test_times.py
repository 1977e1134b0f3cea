"""Every frame under its own number and at its own time, and the sound where it belongs, from whatever file."""

import pytest
from footage import beeps_in, beheaded, make, number_of, remuxed

from flowedit.media.clip import probe, read_video, stream_video, write_video
from flowedit.media.glance import glance

GROUP = {"g": "12", "sc_threshold": "0"}
VP8 = {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "20", "deadline": "good", "cpu-used": "4", "b": "60k"}
FILES = {
    "mp4 h264": ("a.mp4", "libx264", GROUP | {"bf": "2"}, "aac"),
    "mov h264": ("a.mov", "libx264", GROUP | {"bf": "2"}, "pcm_s16le"),
    "mkv h264": ("a.mkv", "libx264", GROUP, "libopus"),
    "ts h264": ("a.ts", "libx264", GROUP, "aac"),
    "flv h264": ("a.flv", "libx264", GROUP, "aac"),
    "avi h264": ("a.avi", "libx264", GROUP | {"bf": "2"}, "pcm_s16le"),
    "avi mpeg4": ("a.avi", "mpeg4", GROUP | {"bf": "2"}, "pcm_s16le"),
    "avi mjpeg": ("a.avi", "mjpeg", {}, "pcm_s16le"),
    "mpg mpeg2": ("a.mpg", "mpeg2video", GROUP | {"bf": "2"}, "mp2"),
    "ts mpeg2": ("a.ts", "mpeg2video", GROUP | {"bf": "2"}, "mp2"),
    "webm vp8": ("a.webm", "libvpx", VP8, "libopus"),
    "webm vp9": ("a.webm", "libvpx-vp9", {"g": "30", "deadline": "realtime", "cpu-used": "8"}, "libopus"),
    "mp4 hevc": ("a.mp4", "libx265", {"x265-params": "keyint=12:open-gop=1:scenecut=0:log-level=none"}, "aac"),
    "mkv ffv1": ("a.mkv", "ffv1", {}, "flac"),
    "mp4 av1": ("a.mp4", "libsvtav1", {"preset": "12", "svtav1-params": "keyint=12"}, "aac"),
    "mp4 open groups": ("a.mp4", "libx264", {"x264-params": "open-gop=1:keyint=12:bframes=2:scenecut=0"}, "aac"),
    "mp4 intra refresh": ("a.mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=12:bframes=0:scenecut=0"}, "aac"),
    "nut mpeg4": ("a.nut", "mpeg4", {}, "mp2"),
}
CUT = {
    "ts without its beginning": ("ts h264", lambda source, path: beheaded(source, path, 188 * 20)),
    "webm with hidden frames": ("webm vp8", lambda source, path: remuxed(source, path, hidden=(7, 41, 60))),
    "mp4 cut at an open group": ("mp4 open groups", lambda source, path: remuxed(source, path, 12)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each file, made when it is first asked for."""
    made = {}

    def file(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("clips")
            if name in CUT:
                source, cut = CUT[name]
                made[name] = cut(file(source), folder / file(source).name)
            else:
                place, codec, options, sound = FILES[name]
                pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                made[name] = make(folder / place, codec, options=options, sound=sound, pix_fmt=pix_fmt)
        return made[name]

    return file


@pytest.mark.parametrize("name", [*FILES, *CUT])
def test_a_glance_at_the_header_says_what_reading_does(files, name):  # catches: frames counted that are not shown
    read = probe(files(name))
    seen = glance(files(name)) or read
    assert (seen.num_frames, seen.height, seen.width) == (read.num_frames, read.height, read.width)
    assert (seen.has_audio, float(seen.fps)) == (read.has_audio, pytest.approx(float(read.fps), rel=0.02))


@pytest.mark.parametrize("start", [0, 3, 11, 26, 36, 53])
@pytest.mark.parametrize("name", [*FILES, *CUT])
def test_a_window_holds_its_own_frames_and_its_own_sound(files, tmp_path, name, start):
    """A frame shown at n / 25 s carries the number n, and beeps come at 0.5, 1.5, ... s, in whatever file."""
    path = files(name)
    clip = read_video(path, start=start, num_frames=min(17, probe(path).num_frames - start))
    numbers = [number_of(frame) for frame in clip.frames]
    there = [n for n in range(number_of(next(stream_video(path))), 80) if "hidden" not in name or n not in (7, 41, 60)]
    assert (len(there) < 80) == (name in CUT)
    assert numbers == there[start : start + 17]
    assert clip.total == len(there)
    write_video(tmp_path / "out.mp4", clip.frames, clip.times, audio_from=path, audio_start_s=clip.start_s)
    heard = [k + 0.5 - numbers[0] / 25 for k in range(3) if 0 < k + 0.5 - numbers[0] / 25 < clip.times[-2]]
    assert beeps_in(tmp_path / "out.mp4") == pytest.approx(heard, abs=0.005)
    assert [number_of(frame) for frame in stream_video(tmp_path / "out.mp4")] == numbers
