"""Clips of many windows: colours hold still from the first window to the last, and memory is that of the frames."""

from pathlib import Path

import numpy as np
import pytest
from fresh import fresh

from benchmarks import long_clips
from benchmarks.long_clips import EVERY, FRAMES, LIMIT, Reading, drift, long_clip, to_markdown
from flowedit.edit.windows import edit_long_video
from flowedit.models import load_model
from flowedit.presets import model_defaults, preset_settings
from training.families import Family

ALONE = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
"""One thread, so that no other one holds a heap; and the C library gives large blocks back, so that the peak is
what is held."""
MEMORY = """
import sys
import cv2
import numpy as np
import torch
from oracles import Curved
from flowedit.settings import EditSettings
from flowedit.environment import peak_memory_mb
from flowedit.keyframes import Keyframe
from flowedit.edit.windows import edit_long_video

torch.set_num_threads(1)
cv2.setNumThreads(1)
number = int(sys.argv[1])
frames = np.empty((number, 128, 128, 3), np.uint8)
for index in range(number):
    frames[index] = np.random.default_rng(index).integers(0, 256, frames.shape[1:], dtype=np.uint8)
settings = EditSettings(method=sys.argv[2], steps=4, strength=0.6)
# No colour map tells a blur, so that a guess looks at the surroundings too.
keyframes = [Keyframe(index, 255 - cv2.blur(frames[index], (3, 3))) for index in range(0, number, (number - 1) // 4)]
edit_long_video(frames, keyframes, Curved(), settings, window=33)
print(peak_memory_mb())
"""


def grey(levels):
    """Frames of one colour each, uint8 (F, 4, 4, 3)."""
    return np.broadcast_to(np.asarray(levels, np.uint8)[:, None, None, None], (len(levels), 4, 4, 3)).copy()


def reading(**changes):
    figures = {"between": 0.3, "within": 0.2, "psnr": 33.0}
    return Reading(**{"preset": "draft", "family": "global colour", "scene": 6, **figures, **changes})


def read(frames, truth, window):
    return reading(**drift(frames, truth, window))


def test_drift_tells_windows_apart_from_what_wanders_within_one():
    """Catches a figure that calls a constant offset drift, or that hides one which grows from window to window."""
    truth = grey([100] * 65)
    assert drift(truth + 7, truth, 33) == {"between": 0, "within": 0}
    flickering = read(truth + grey([0, 10] * 32 + [0]), truth, 33)
    assert flickering.within == pytest.approx(5, abs=0.1)
    assert flickering.ratio < 0.2
    stepped = read(truth + grey([0] * 24 + [4] * 8 + [8] * 33), truth, 33)
    assert stepped.between == pytest.approx(8 - (8 * 4 + 8) / 33, abs=0.01)
    assert stepped.ratio > LIMIT
    assert reading(between=0.0, within=0.0).ratio == 1, "a drift that rounding can cause is none"
    assert reading(between=0.2, within=0.02).ratio < LIMIT < reading(between=0.4, within=0.02).ratio


def test_readings_of_other_presets_and_styles_stay(tmp_path, monkeypatch):
    store = tmp_path / "long.json"
    monkeypatch.setattr(long_clips, "long_clip", lambda family: family)
    monkeypatch.setattr(long_clips, "read_clip", lambda clip, preset: reading(preset=preset, family=str(clip)))
    for presets in (["draft"], ["method", "default"], ["draft"]):
        assert len(list(long_clips.measure_long_clips(presets, [Family.GLOBAL], store))) == len(presets)
    kept = long_clips.read_readings(store)
    assert [row.preset for row in kept] == ["default", "draft", "method"]
    assert "| draft | global colour | 0.30 | 0.20 | 1.14 | 33.0 |" in to_markdown(kept)


def test_colours_drift_no_more_over_all_windows_than_within_one():
    """257 frames, 11 windows of 33, exact keyframes at 0, 64, ..., 256, preset `default`, a camera that pans."""
    clip, window = long_clip(Family.GLOBAL), model_defaults("tiny").window
    assert clip.frames.shape == (FRAMES, 128, 128, 3)
    assert [keyframe.index for keyframe in clip.keyframes] == list(range(0, FRAMES, EVERY))
    settings = preset_settings("tiny", "default", prompt=clip.caption, source_prompt=clip.source_caption)
    model = load_model("tiny", device="cpu")
    result = edit_long_video(clip.frames, clip.keyframes, model, settings, window=window)
    found = read(result.frames, clip.truth, window)
    assert found.ratio <= LIMIT, found
    # The yardstick itself: a cast that grows by a twentieth of a level a frame is seen.
    cast = np.round(np.arange(FRAMES) / 20).astype(np.int16)[:, None, None, None]
    drifting = (result.frames + cast).clip(0, 255).astype(np.uint8)
    assert read(drifting, clip.truth, window).ratio > LIMIT


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak that Linux keeps")
@pytest.mark.parametrize("method", ["coupled", "difference", "refine"])
def test_memory_grows_by_source_and_result_alone(method):
    """From 65 to 257 frames by at most 2.5 times their bytes: once the source, once the result, and half for the rest.

    What an estimate learns from is bounded, and more with five keyframes than with two: both clips have five.
    """
    peaks = []
    for number in (65, FRAMES):
        peaks.append(float(*fresh(MEMORY, number, method, environment=ALONE)))
    frames_mb = (FRAMES - 65) * 128 * 128 * 3 / 1e6
    growth = (peaks[1] - peaks[0]) / frames_mb
    assert growth <= 2.5
    assert growth > 1.5, "the frames themselves must show, or the peak is that of something else"
